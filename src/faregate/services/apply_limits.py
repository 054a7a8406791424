"""One entry of a catalog file, made so: limits."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from faregate.base.errors import FieldFault, InvalidInput
from faregate.domain.limits.limit import Limit
from faregate.services.apply_resources import plan_named
from faregate.services.catalog_differences import compared, created, differing_fields
from faregate.services.change import Change
from faregate.services.limits import create_limit, replace_limit, wanted_limit
from faregate.storage.database import Transaction
from faregate.storage.limits import find_limit_by_name
from faregate.storage.meters import find_meter_by_name
from faregate.wire.api.catalog_document import LimitEntry, ResourceDifference
from faregate.wire.api.limits import LimitCreate, LimitView, limit_view


def apply_limit(transaction: Transaction, change: Change, entry: LimitEntry) -> ResourceDifference:
    """Make or change the limit; `InvalidInput` where the file wants another one under the name."""
    request = _request(transaction, change, entry)
    standing = find_limit_by_name(transaction, change.application_id, entry.name)
    if standing is None:
        create_limit(transaction, change, request)
        return created("limit", entry.name)
    before = standing.limit
    wanted = wanted_limit(request, before.limit_id)
    fixed = replace(wanted, amount=before.amount, hard=before.hard, alert_at=before.alert_at)
    faults = [
        FieldFault(
            field=difference.field,
            message=f"of a limit never changes; it is {difference.before}. Make another limit under another name",
        )
        for difference in differing_fields(_view(before, change.now), _view(fixed, change.now))
    ]
    if faults:
        raise InvalidInput(*faults)
    after = before if wanted == before else wanted  # 10 and 10.00 are one amount, written twice
    replace_limit(transaction, standing, after, now=change.now)
    return compared("limit", entry.name, before=_view(before, change.now), after=_view(after, change.now))


def _request(transaction: Transaction, change: Change, entry: LimitEntry) -> LimitCreate:
    meter = None if entry.meter is None else find_meter_by_name(transaction, change.application_id, entry.meter)
    if entry.meter is not None and meter is None:
        raise InvalidInput.of("meter", f"there is no meter {entry.meter!r}")
    return LimitCreate(
        name=entry.name,
        subject=entry.subject,
        subject_id=entry.subject_id,
        plan_id=None if entry.plan is None else plan_named(transaction, change, entry.plan).plan_id,
        measure=entry.measure,
        currency=entry.currency,
        meter_id=None if meter is None else meter.meter_id,
        per=entry.per,
        time_zone=entry.time_zone,
        amount=entry.amount,
        hard=entry.hard,
        routes=entry.routes,
        alert_at=entry.alert_at,
    )


def _view(limit: Limit, at: datetime) -> LimitView:
    return limit_view(limit, at)
