"""Give calls of an incident back: find them, show what each customer gets, post it once, and take it back.

    draft    calls in a time that match a filter, and their charges; a slice a transaction, nothing moved
    apply    one linked ledger entry for each subscription, price and period, and its adjustment; all in one transaction
    undo     the same entries with the opposite sign

A charge is credited by one incident at most, and what is given back of a price and period is never more than what it
was debited. Quantities stay: the calls were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from faregate.base.clock import to_microseconds
from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.limits import MAX_TRIAL_RANGE
from faregate.base.money import EXACT, quantize
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.filter import conditions_of
from faregate.domain.metering.filter_text import filter_text
from faregate.domain.metering.matching import compile_filter
from faregate.services.accounts import refresh_accounts
from faregate.services.adjustments import adjust
from faregate.services.change import Change
from faregate.services.posting import post_entry
from faregate.storage.database import Transaction
from faregate.storage.incident_calls import (
    CallCharge,
    add_calls,
    charged_now,
    charges_of,
    count_credited_elsewhere,
    count_gone,
    mark_credited,
)
from faregate.storage.incidents import (
    Incident,
    IncidentLine,
    IncidentStatus,
    credited_so_far,
    find_incident,
    insert_incident,
    read_lines,
    read_lines_of,
    update_incident,
    write_lines,
)
from faregate.storage.kept_events import KeptEvent, KeptRange, newest_admitted, read_kept
from faregate.storage.ledger import EntryKind, NewEntry, TotalKey, lock_accounts, read_totals
from faregate.storage.metered import read_subscriptions
from faregate.wire.api.common import to_utc
from faregate.wire.api.filters import to_filter
from faregate.wire.api.incidents import IncidentCreate
from faregate.wire.metered_fields import MeteredFields
from faregate.wire.patterns import compile_pattern

SLICE: Final = 1_000
_PERCENT_PLACES: Final = 4


def create_incident(transaction: Transaction, change: Change, request: IncidentCreate) -> Incident:
    """Begin a draft; of a repeat, return what stands. `Conflict` on `id` where it stands for something else."""
    wanted = _wanted(transaction, change, request)
    standing = find_incident(transaction, change.application_id, request.id)
    if standing is None:
        insert_incident(transaction, wanted)
        return wanted
    if _what(standing) != _what(wanted):
        raise Conflict("id", f"{request.id!r} is another incident credit already; choose another id")
    return standing


def draft_next(transaction: Transaction, application_id: str, incident_id: str, *, most: int = SLICE) -> bool:
    """Find the next calls of a draft; return whether there may be more."""
    found = find_existing_incident(transaction, application_id, incident_id)
    if found.status is not IncidentStatus.DRAFTING:
        return False
    rows = read_kept(transaction, found.kept, after=found.after, limit=most)
    matching = _matching(found, rows)
    charges = charges_of(transaction, application_id, matching) if matching else []
    if charges:
        add_calls(transaction, found, [entry for entry in charges if not entry.is_credited])
        _add_lines(transaction, found, charges)
    is_last = len(rows) < most
    moved = replace(
        found,
        after=(rows[-1].occurred_at_us, rows[-1].position) if rows else found.after,
        matched=found.matched + len(matching),
        status=IncidentStatus.DRAFT if is_last else IncidentStatus.DRAFTING,
    )
    if is_last:
        _set_credits(transaction, moved)
    update_incident(transaction, moved)
    return not is_last


def apply_incident(transaction: Transaction, change: Change, incident_id: str) -> Incident:
    """Give back what the draft says; of a repeat, return what stands.

    `Conflict` on `incident_id` where the draft is not whole, is undone, or no longer says what would be given back:
    another incident credited some of its calls since, or charges changed.
    """
    found = find_existing_incident(transaction, change.application_id, incident_id)
    if found.status is IncidentStatus.APPLIED:
        return found
    _require(found, IncidentStatus.DRAFT)
    lines = read_lines(transaction, found)
    accounts = sorted({line.key.subscription_id for line in lines})
    lock_accounts(transaction, accounts)
    drafted = {line.key: line.credit for line in lines}
    _limit_credits(transaction, found, lines)
    if (
        count_credited_elsewhere(transaction, found)
        or count_gone(transaction, found)
        or charged_now(transaction, found) != sum(line.charged for line in lines)
        or drafted != {line.key: line.credit for line in lines}
    ):
        raise Conflict("incident_id", "charges of its calls have changed since the draft; make another draft")
    for line in lines:
        line.entry_id = _post(transaction, change, found, line=line, amount=line.credit, undo=False)
    write_lines(transaction, found, lines)
    mark_credited(transaction, found, credited=True)
    refresh_accounts(transaction, subscription_ids=accounts, now=change.now)
    applied = replace(found, status=IncidentStatus.APPLIED, applied_at=change.now)
    update_incident(transaction, applied)
    return applied


def undo_incident(transaction: Transaction, change: Change, incident_id: str) -> Incident:
    """Take back what was given; of a repeat, return what stands. `Conflict` where nothing was applied."""
    found = find_existing_incident(transaction, change.application_id, incident_id)
    if found.status is IncidentStatus.UNDONE:
        return found
    _require(found, IncidentStatus.APPLIED)
    lines = read_lines(transaction, found)
    accounts = sorted({line.key.subscription_id for line in lines})
    lock_accounts(transaction, accounts)
    for line in lines:
        line.undo_entry_id = _post(transaction, change, found, line=line, amount=-line.credit, undo=True)
    write_lines(transaction, found, lines)
    mark_credited(transaction, found, credited=False)
    refresh_accounts(transaction, subscription_ids=accounts, now=change.now)
    undone = replace(found, status=IncidentStatus.UNDONE, undone_at=change.now)
    update_incident(transaction, undone)
    return undone


def find_existing_incident(transaction: Transaction, application_id: str, incident_id: str) -> Incident:
    """Return the incident; `NotFound` if there is none of that id."""
    found = find_incident(transaction, application_id, incident_id)
    if found is None:
        raise NotFound("incident credit", incident_id)
    return found


def _wanted(transaction: Transaction, change: Change, request: IncidentCreate) -> Incident:
    from_at, to_at = to_utc(request.from_at), to_utc(request.to_at)
    if not from_at < to_at <= from_at + MAX_TRIAL_RANGE:
        raise InvalidInput.of("to", f"must be after 'from', by at most {MAX_TRIAL_RANGE.days} days")
    percent = request.percent
    if not percent.is_finite() or not 0 < percent <= 100 or percent != round(percent, _PERCENT_PLACES):  # noqa: PLR2004 - percent
        raise InvalidInput.of("percent", f"must be above 0 and at most 100, with at most {_PERCENT_PLACES} decimals")
    return Incident(
        incident_id=request.id,
        filter=to_filter(request.filter, request.filter_text),
        kept=KeptRange(
            application_id=change.application_id, from_at=from_at, to_at=to_at, through=newest_admitted(transaction)
        ),
        percent=percent,
        reason=request.reason,
        status=IncidentStatus.DRAFTING,
        after=(to_microseconds(from_at), 0),
        matched=0,
        created_at=change.now,
    )


def _what(found: Incident) -> tuple[str, datetime, datetime, Decimal, str]:
    return filter_text(found.filter), found.kept.from_at, found.kept.to_at, found.percent, found.reason


def _matching(found: Incident, rows: Sequence[KeptEvent]) -> list[int]:
    fields = MeteredFields({condition.path for condition in conditions_of(found.filter)})
    matches = compile_filter(found.filter, compile_pattern, fields.reading)
    positions = []
    for row in rows:
        tree = fields.decode(row.body)
        tree.company_id = row.company_id
        if matches(tree):
            positions.append(row.position)
    return positions


def _add_lines(transaction: Transaction, found: Incident, charges: Sequence[CallCharge]) -> None:
    subscriptions = read_subscriptions(transaction, {entry.subscription_id for entry in charges})
    keys = {entry: _key(subscriptions[entry.subscription_id], entry) for entry in charges}
    lines = {line.key: line for line in read_lines_of(transaction, found, set(keys.values()))}
    last: dict[TotalKey, int] = {}
    for entry in charges:
        key = keys[entry]
        line = lines.setdefault(key, IncidentLine(key=key, company_id=entry.company_id))
        if entry.is_credited:
            line.already_credited += 1
            continue
        line.calls += last.get(key) != entry.position
        last[key] = entry.position
        line.quantity = EXACT.add(line.quantity, entry.quantity)
        line.charged += entry.amount
    write_lines(transaction, found, lines.values())


def _key(subscription: Subscription, entry: CallCharge) -> TotalKey:
    period = subscription.period_at(max(entry.occurred_at, subscription.started_at))
    start = entry.occurred_at if period is None else period.start
    return TotalKey(entry.subscription_id, entry.price_id, start)


def _set_credits(transaction: Transaction, found: Incident) -> None:
    lines = read_lines(transaction, found)
    _limit_credits(transaction, found, lines)
    write_lines(transaction, found, lines)


def _limit_credits(transaction: Transaction, found: Incident, lines: Sequence[IncidentLine]) -> None:
    """Set each line's credit: the percentage of what was charged, at most what is left of the period's debits."""
    for first in range(0, len(lines), SLICE):
        _limit_some(transaction, found, lines[first : first + SLICE])


def _limit_some(transaction: Transaction, found: Incident, lines: Sequence[IncidentLine]) -> None:
    keys = {line.key for line in lines}
    totals = read_totals(transaction, keys)
    given = credited_so_far(transaction, keys)
    for line in lines:
        share = quantize(EXACT.multiply(Decimal(line.charged), found.percent.scaleb(-2)), 0, ROUND_FLOOR)
        debited = totals[line.key].debited if line.key in totals else 0
        line.credit = max(0, min(share, debited - given.get(line.key, 0)))


def _require(found: Incident, status: IncidentStatus) -> None:
    if found.status is not status:
        raise Conflict("incident_id", f"the incident credit is {found.status.value}, not {status.value}")


def _post(
    transaction: Transaction, change: Change, found: Incident, *, line: IncidentLine, amount: int, undo: bool
) -> int | None:
    """Post a line's entry and its adjustment; return the entry's id, None for a line that gives nothing."""
    if not amount:
        return None
    name = f"{found.incident_id}:undo" if undo else found.incident_id
    entry_id = post_entry(
        transaction,
        NewEntry(
            application_id=change.application_id,
            subscription_id=line.key.subscription_id,
            kind=EntryKind.INCIDENT_CREDIT,
            amount=amount,
            caller_id=f"incident:{name}:{line.key.price_id}:{to_microseconds(line.key.period_start)}",
            description=f"undone: {found.reason}" if undo else found.reason,
            occurred_at=change.now,
            price_id=line.key.price_id,
            period_start=line.key.period_start,
        ),
    )
    adjust(
        transaction,
        application_id=change.application_id,
        key=line.key,
        amount=-amount,
        source=AdjustmentSource.INCIDENT_CREDIT,
        source_id=name,
        now=change.now,
    )
    return entry_id
