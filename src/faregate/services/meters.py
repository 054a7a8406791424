"""Make, change and delete billing meters. What a meter has counted stays as it was counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from msgspec import UNSET

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.meter import Meter
from faregate.services.accounts import refresh_accounts
from faregate.services.below_cost import warn_of_below_cost
from faregate.services.change import Change
from faregate.services.reservable import require_reservable
from faregate.storage.catalog_sync import CatalogKind, want
from faregate.storage.database import Transaction
from faregate.storage.events import consumer_position
from faregate.storage.metered import find_series
from faregate.storage.meters import (
    add_meter_change,
    find_meter,
    find_meter_by_name,
    insert_meter,
    meter_counts_in_open_period,
    meter_has_counted,
)
from faregate.storage.meters import (
    delete_meter as delete_row,
)
from faregate.storage.meters import (
    update_meter as update_row,
)
from faregate.storage.state_feed import record_change
from faregate.storage.subscriptions import subscriptions_to_plan
from faregate.wire.api.filters import to_filter
from faregate.wire.api.meters import MeterChange, MeterCreate, to_group_by, to_meter, to_metric, to_units

_KEPT_BY: Final = ("group_by", "reporting_period")
"""What windows are told apart by: of two ways, neither could be explained."""

_COUNTS: Final = ("filter", "metric", "units")
"""What says how much an event counts for."""


def create_meter(transaction: Transaction, change: Change, request: MeterCreate) -> Meter:
    """Make a meter.

    Raises `InvalidInput` on `price_id`, a field path, or a sum that cannot be reserved, and `Conflict` on `name`.
    """
    meter = to_meter(request, change.new_id("mtr"))
    if find_series(transaction, change.application_id, meter.price_id) is None:
        raise InvalidInput.of("price_id", f"there is no price {meter.price_id!r}")
    _require_free_name(transaction, change, meter.name)
    insert_meter(transaction, change.application_id, meter, created_at=change.now)
    follow_meter(transaction, change, meter)
    if not change.is_part:
        # A price is compared by what its meters count: a new one's warnings come with the first of them.
        warn_of_below_cost(transaction, change.application_id, at=change.now, price_id=meter.price_id)
    return meter


def change_meter(transaction: Transaction, change: Change, request: MeterChange, *, meter_id: str) -> Meter:
    """Change what is given of a meter; errors as `create_meter`, and `NotFound`.

    Raises `Conflict` on what the meter counts where it has counted in a period that is open: one invoice line would mix
    two meanings. The fields that usage is grouped by, and the length of windows, change only before it has counted.
    """
    before = find_existing(transaction, change.application_id, meter_id)
    after = replace(
        before,
        name=before.name if request.name is UNSET else request.name,
        filter=before.filter
        if request.filter is request.filter_text
        else to_filter(request.filter, request.filter_text),
        metric=before.metric if request.metric is UNSET else to_metric(request.metric),
        group_by=before.group_by if request.group_by is UNSET else to_group_by(request.group_by),
        units=before.units if request.units is UNSET else to_units(request.units),
        reporting_period=before.reporting_period if request.reporting_period is UNSET else request.reporting_period,
    )
    changed = changed_fields(before, after)
    if not changed:
        return before
    _require_changeable(transaction, before, changed)
    if after.name != before.name:
        _require_free_name(transaction, change, after.name)
    _keep_what_it_counted(transaction, before, after)
    update_row(transaction, after)
    follow_meter(transaction, change, after)
    return after


def delete_meter(transaction: Transaction, change: Change, meter_id: str) -> None:
    """Delete a meter that has counted nothing yet; `Conflict` on `meter_id` for one that has."""
    meter = find_existing(transaction, change.application_id, meter_id)
    if meter_has_counted(transaction, meter_id):
        raise Conflict("meter_id", "the meter has counted usage, which must stay explained; correct it by a re-rating")
    delete_row(transaction, meter_id)
    follow_meter(transaction, change, meter)


def find_existing(transaction: Transaction, application_id: str, meter_id: str) -> Meter:
    """Return the meter; `NotFound` if there is none of that id."""
    meter = find_meter(transaction, application_id, meter_id)
    if meter is None:
        raise NotFound("meter", meter_id)
    return meter


def changed_fields(before: Meter, after: Meter) -> list[str]:
    """Return the names of the fields in which a meter changes; a filter that is written otherwise is the same one."""
    counted = write_definition(before.definition)
    changes = {
        "name": before.name != after.name,
        "filter": counted != write_definition(replace(before, filter=after.filter).definition),
        "metric": counted != write_definition(replace(before, metric=after.metric).definition),
        "units": counted != write_definition(replace(before, units=after.units).definition),
        "group_by": before.group_by != after.group_by,
        "reporting_period": before.reporting_period != after.reporting_period,
    }
    return [field for field, is_changed in changes.items() if is_changed]


def _require_changeable(transaction: Transaction, meter: Meter, changed: Sequence[str]) -> None:
    kept_by = next((field for field in _KEPT_BY if field in changed), None)
    if kept_by is not None and meter_has_counted(transaction, meter.meter_id):
        raise Conflict(
            kept_by, f"never changes once a meter has counted, as {meter.name!r} has; make another meter, and test it"
        )
    counts = next((field for field in _COUNTS if field in changed), None)
    if counts is not None and meter_counts_in_open_period(transaction, meter.meter_id):
        raise Conflict(
            counts,
            f"cannot change now: {meter.name!r} has counted in a billing period that is open, and one invoice line"
            " would mix both. Correct what it has counted by a re-rating, which shows the difference first, or make"
            " another meter under another name",
        )


def _require_free_name(transaction: Transaction, change: Change, name: str) -> None:
    if find_meter_by_name(transaction, change.application_id, name) is not None:
        raise Conflict("name", f"there is already a meter {name!r}")


def _keep_what_it_counted(transaction: Transaction, before: Meter, after: Meter) -> None:
    changed = write_definition(after.definition) != write_definition(before.definition)
    if changed and meter_has_counted(transaction, before.meter_id):
        add_meter_change(transaction, before, after, position=consumer_position(transaction), span=None)


def follow_meter(transaction: Transaction, change: Change, meter: Meter) -> None:
    """Bring what depends on a plan's metered prices up to date, and tell the gateways."""
    require_reservable(transaction, change, "metric.field")
    record_change(transaction, "meter", meter.meter_id)
    # The provider's meters bear the names of ours.
    want(transaction, change.application_id, CatalogKind.PRICE, our_id=meter.price_id)
    price = find_series(transaction, change.application_id, meter.price_id)
    if price is None:
        return
    rows = subscriptions_to_plan(transaction, change.application_id, price.plan_id)
    subscription_ids = [row.subscription.subscription_id for row in rows]
    for subscription_id in subscription_ids:
        record_change(transaction, "account", subscription_id)
    if subscription_ids:
        refresh_accounts(transaction, subscription_ids=subscription_ids, now=change.now)
