"""Make, change and delete billing meters. What a meter has counted stays as it was counted."""

from __future__ import annotations

from dataclasses import replace

from msgspec import UNSET

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.meter import Meter
from faregate.services.accounts import refresh_accounts
from faregate.services.change import Change
from faregate.services.reservable import require_reservable
from faregate.storage.database import Transaction
from faregate.storage.metered import find_series
from faregate.storage.meters import (
    delete_meter as delete_row,
)
from faregate.storage.meters import (
    find_meter,
    find_meter_by_name,
    insert_meter,
    meter_has_counted,
)
from faregate.storage.meters import (
    update_meter as update_row,
)
from faregate.storage.state_feed import record_change
from faregate.storage.subscriptions import subscriptions_to_plan
from faregate.wire.api.filters import to_filter
from faregate.wire.api.meters import MeterChange, MeterCreate, to_meter, to_metric


def create_meter(transaction: Transaction, change: Change, request: MeterCreate) -> Meter:
    """Make a meter.

    Raises `InvalidInput` on `price_id`, a field path, or a sum that cannot be reserved, and `Conflict` on `name`.
    """
    meter = to_meter(request, change.new_id("mtr"))
    if find_series(transaction, change.application_id, meter.price_id) is None:
        raise InvalidInput.of("price_id", f"there is no price {meter.price_id!r}")
    _require_free_name(transaction, change, meter.name)
    insert_meter(transaction, change.application_id, meter, created_at=change.now)
    _follow(transaction, change, meter)
    return meter


def change_meter(transaction: Transaction, change: Change, request: MeterChange, *, meter_id: str) -> Meter:
    """Change what is given of a meter; errors as `create_meter`, and `NotFound`."""
    before = find_existing(transaction, change.application_id, meter_id)
    after = replace(
        before,
        name=before.name if request.name is UNSET else request.name,
        filter=before.filter
        if request.filter is request.filter_text
        else to_filter(request.filter, request.filter_text),
        metric=before.metric if request.metric is UNSET else to_metric(request.metric),
    )
    if after.name == before.name and write_definition(after.definition) == write_definition(before.definition):
        return before
    if after.name != before.name:
        _require_free_name(transaction, change, after.name)
    update_row(transaction, after)
    _follow(transaction, change, after)
    return after


def delete_meter(transaction: Transaction, change: Change, meter_id: str) -> None:
    """Delete a meter that has counted nothing yet; `Conflict` on `meter_id` for one that has."""
    meter = find_existing(transaction, change.application_id, meter_id)
    if meter_has_counted(transaction, meter_id):
        raise Conflict("meter_id", "the meter has counted usage, which must stay explained; change its filter instead")
    delete_row(transaction, meter_id)
    _follow(transaction, change, meter)


def find_existing(transaction: Transaction, application_id: str, meter_id: str) -> Meter:
    """Return the meter; `NotFound` if there is none of that id."""
    meter = find_meter(transaction, application_id, meter_id)
    if meter is None:
        raise NotFound("meter", meter_id)
    return meter


def _require_free_name(transaction: Transaction, change: Change, name: str) -> None:
    if find_meter_by_name(transaction, change.application_id, name) is not None:
        raise Conflict("name", f"there is already a meter {name!r}")


def _follow(transaction: Transaction, change: Change, meter: Meter) -> None:
    """Bring what depends on a plan's metered prices up to date, and tell the gateways."""
    require_reservable(transaction, change, "metric.field")
    record_change(transaction, "meter", meter.meter_id)
    price = find_series(transaction, change.application_id, meter.price_id)
    if price is None:
        return
    rows = subscriptions_to_plan(transaction, change.application_id, price.plan_id)
    subscription_ids = [row.subscription.subscription_id for row in rows]
    for subscription_id in subscription_ids:
        record_change(transaction, "account", subscription_id)
    if subscription_ids:
        refresh_accounts(transaction, subscription_ids=subscription_ids, now=change.now)
