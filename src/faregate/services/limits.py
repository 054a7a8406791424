"""Make, change and delete limits; and say what is used of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final, assert_never

from msgspec import UNSET

from faregate.base.errors import Conflict, FieldFault, InvalidInput, NotFound
from faregate.base.money import currency
from faregate.domain.catalog.validation import require
from faregate.domain.limits.limit import Limit, Measure, Stage, Subject, faults_of
from faregate.services.change import Change
from faregate.services.raise_alerts import alert_of_limit
from faregate.services.subscriptions import zone_of
from faregate.storage import limits as stored
from faregate.storage.catalog import find_plan
from faregate.storage.customers import find_company, find_key, find_user
from faregate.storage.database import Transaction
from faregate.storage.limits import LimitUse, OwnedLimit
from faregate.storage.meters import find_meter
from faregate.storage.state_feed import limit_block_id, record_change
from faregate.wire.api.common import bounded
from faregate.wire.api.limits import LimitChange, LimitCreate, wanted_alerts
from faregate.wire.patterns import compile_pattern

_NOTHING: Final = Decimal(0)


def create_limit(transaction: Transaction, change: Change, request: LimitCreate) -> OwnedLimit:
    """Make a limit; it counts from now on.

    Raises `InvalidInput` on what cannot be, an unknown subject, plan or meter too, and `Conflict` on `name`.
    """
    limit = wanted_limit(request, change.new_id("lim"))
    require([*faults_of(limit), *_pattern_faults(limit), *_unknown(transaction, change.application_id, limit)])
    _require_free_name(transaction, change, limit.name)
    owned = OwnedLimit(application_id=change.application_id, limit=limit, created_at=change.now)
    stored.insert_limit(transaction, owned)
    _tell(transaction, limit)
    return owned


def wanted_limit(request: LimitCreate, limit_id: str) -> Limit:
    """Return the limit that is asked for; `InvalidInput` on a number, currency or time zone that is none."""
    return Limit(
        limit_id=limit_id,
        name=request.name,
        subject=request.subject,
        subject_id=request.subject_id,
        plan_id=request.plan_id,
        measure=request.measure,
        currency=None if request.currency is None else currency(request.currency).code,
        meter_id=request.meter_id,
        per=request.per,
        zone=zone_of("time_zone", request.time_zone),
        amount=bounded("amount", request.amount),
        hard=request.hard,
        routes=tuple(request.routes),
        alert_at=wanted_alerts(request),
    )


def change_limit(transaction: Transaction, change: Change, request: LimitChange, *, limit_id: str) -> OwnedLimit:
    """Change what is given of a limit; errors as `create_limit`, and `NotFound`."""
    before = find_existing(transaction, change.application_id, limit_id)
    after = replace(
        before.limit,
        name=before.limit.name if request.name is UNSET else request.name,
        amount=before.limit.amount if request.amount is UNSET else bounded("amount", request.amount),
        hard=before.limit.hard if request.hard is UNSET else request.hard,
        alert_at=before.limit.alert_at if request.alert_at is UNSET else tuple(sorted(set(request.alert_at))),
    )
    if after.name != before.limit.name:
        _require_free_name(transaction, change, after.name)
    replace_limit(transaction, before, after, now=change.now)
    return replace(before, limit=after)


def replace_limit(transaction: Transaction, owned: OwnedLimit, after: Limit, *, now: datetime) -> None:
    """Put a limit in the place of the one of the same id, where they differ; what is used of it stays.

    What is used may be a larger part of the limit now: that raises alerts, too.
    """
    require(faults_of(after))
    before = owned.limit
    if after == before:
        return
    stored.update_limit(transaction, after)
    _tell(transaction, after)
    uses = stored.uses_after(transaction, after.limit_id, now)
    for use in uses:
        was_closed = use.reached and before.hard
        use.reached = after.stage(use.used) is not Stage.FREE
        if was_closed or (use.reached and after.hard):
            _tell_of(transaction, use)
        alert_of_limit(transaction, replace(owned, limit=after), use, before=_NOTHING, now=now)
    stored.write_uses(transaction, uses)


def delete_limit(transaction: Transaction, change: Change, limit_id: str) -> None:
    """Delete a limit and what was used of it: it refuses nothing from now on."""
    limit = find_existing(transaction, change.application_id, limit_id).limit
    for use in stored.uses_after(transaction, limit_id, change.now):
        if use.reached:
            _tell_of(transaction, use)
    stored.delete_limit(transaction, limit_id)
    _tell(transaction, limit)


def find_existing(transaction: Transaction, application_id: str, limit_id: str) -> OwnedLimit:
    """Return the limit; `NotFound` if there is none of that id."""
    owned = stored.find_limit(transaction, application_id, limit_id)
    if owned is None:
        raise NotFound("limit", limit_id)
    return owned


def _tell(transaction: Transaction, limit: Limit) -> None:
    # Gateways hear of those per minute alone; the applier reads all of them again.
    record_change(transaction, "limit", limit.limit_id)


def _tell_of(transaction: Transaction, use: LimitUse) -> None:
    record_change(transaction, "limit_block", limit_block_id(use.key.limit_id, use.key.subject_id))


def _unknown(transaction: Transaction, application_id: str, limit: Limit) -> list[FieldFault]:
    faults = []
    if limit.subject_id is not None and not _is_known(transaction, application_id, limit):
        faults.append(FieldFault(field="subject_id", message=f"there is no {limit.subject.value} {limit.subject_id!r}"))
    if limit.plan_id is not None and find_plan(transaction, application_id, limit.plan_id) is None:
        faults.append(FieldFault(field="plan_id", message=f"there is no plan {limit.plan_id!r}"))
    if limit.measure is Measure.METER and limit.meter_id is not None:
        meter = find_meter(transaction, application_id, limit.meter_id)
        if meter is None:
            faults.append(FieldFault(field="meter_id", message=f"there is no meter {limit.meter_id!r}"))
        elif not meter.is_additive:
            message = "must be a meter that adds up or counts; what it counts of one event says nothing of the period"
            faults.append(FieldFault(field="meter_id", message=message))
    return faults


def _is_known(transaction: Transaction, application_id: str, limit: Limit) -> bool:
    subject_id = limit.subject_id or ""
    match limit.subject:
        case Subject.KEY:
            return find_key(transaction, application_id, subject_id) is not None
        case Subject.USER:
            return find_user(transaction, application_id, subject_id) is not None
        case Subject.COMPANY:
            return find_company(transaction, application_id, subject_id) is not None
        case _:
            assert_never(limit.subject)


def _pattern_faults(limit: Limit) -> list[FieldFault]:
    faults = []
    for index, pattern in enumerate(limit.routes):
        try:
            compile_pattern(pattern)
        except InvalidInput as error:
            faults.append(FieldFault(field=f"routes[{index}]", message=error.faults[0].message))
    return faults


def _require_free_name(transaction: Transaction, change: Change, name: str) -> None:
    if stored.find_limit_by_name(transaction, change.application_id, name) is not None:
        raise Conflict("name", f"there is already a limit {name!r}")
