"""What came of events, for explaining it: from an event to its charges and entries, from a line to windows and events.

Charges have no index by company or price: whoever takes events in would pay for it with every event. A window is a
stretch of time, and the events of that time are found by `admitted_event_time`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, FromClause, Row, case, func, literal, or_, select, tuple_, type_coerce

from faregate.storage.columns import Instant
from faregate.storage.database import Transaction
from faregate.storage.tables import admitted_event, charge, correction, event_log, ledger_entry, usage_window


@dataclass(frozen=True, slots=True, kw_only=True)
class EventEffect:
    """What an event was charged on one meter, and the ledger entry that took it; amounts in ledger units.

    An entry takes what a batch of events cost of a price and period. `subscription_id` is empty, and there is no entry,
    where nobody pays.
    """

    meter_id: str
    price_id: str
    company_id: str
    subscription_id: str
    quantity: Decimal
    amount: int
    entry_id: int | None
    entry_amount: int | None
    entry_words: str | None
    period_start: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPlace:
    """Whose windows of a meter: a company's, for one of its subscriptions (empty: for none)."""

    application_id: str
    company_id: str
    meter_id: str
    subscription_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledWindow:
    """A usage window; `billed_quantity` is what its events added to the period's total."""

    meter_id: str
    start_at: datetime
    end_at: datetime
    group_key: str
    period_start: datetime
    quantity: Decimal
    billed_quantity: Decimal
    event_count: int


class WindowCharge(NamedTuple):
    """An event's effect within a window: when it happened in microseconds, what it used and what that cost.

    `corrects`: the place of the event whose charge this one takes back.
    """

    position: int
    occurred_at_us: int
    quantity: Decimal
    amount: int
    entry_id: int | None
    body: bytes
    company_id: str
    corrects: int | None


def effects_of_event(transaction: Transaction, position: int) -> dict[str, EventEffect]:
    """Return what the event at a position was charged, by meter."""
    statement = (
        select(
            charge,
            ledger_entry.c.amount.label("entry_amount"),
            ledger_entry.c.description.label("entry_words"),
            ledger_entry.c.period_start,
        )
        .outerjoin(ledger_entry, ledger_entry.c.entry_id == charge.c.entry_id)
        .where(charge.c.position == position)
    )
    return {
        row.meter_id: EventEffect(
            meter_id=row.meter_id,
            price_id=row.price_id,
            company_id=row.company_id,
            subscription_id=row.subscription_id,
            quantity=row.quantity,
            amount=row.amount,
            entry_id=row.entry_id,
            entry_amount=row.entry_amount,
            entry_words=row.entry_words,
            period_start=row.period_start,
        )
        for row in transaction.execute(statement)
    }


def find_window(
    transaction: Transaction, place: WindowPlace, *, group_key: str, occurred_at: datetime
) -> BilledWindow | None:
    """Return the window that holds an instant."""
    columns = usage_window.c
    statement = (
        select(usage_window)
        .where(*_of_place(place), columns.group_key == group_key, columns.start_at <= occurred_at)
        .order_by(columns.start_at.desc())
        .limit(1)
    )
    found = next((_window(row) for row in transaction.execute(statement)), None)
    return found if found is not None and occurred_at < found.end_at else None


def windows_of_period(
    transaction: Transaction,
    place: WindowPlace,
    *,
    period_start: datetime,
    after: tuple[datetime, str] | None,
    limit: int,
) -> list[BilledWindow]:
    """Return the windows of a billing period by start and group, from the first one after the key (start, group)."""
    columns = usage_window.c
    conditions = [*_of_place(place), columns.period_start == period_start]
    if after is not None:
        start_at, group_key = after
        conditions += [
            columns.start_at >= start_at,
            tuple_(columns.start_at, columns.group_key) > tuple_(literal(start_at, Instant), literal(group_key)),
        ]
    statement = select(usage_window).where(*conditions).order_by(columns.start_at, columns.group_key).limit(limit)
    return [_window(row) for row in transaction.execute(statement)]


def charges_of_window(
    transaction: Transaction,
    place: WindowPlace,
    window: BilledWindow,
    *,
    after: tuple[int, int] | None,
    limit: int,
    with_bodies: bool,
) -> list[WindowCharge]:
    """Return a window's charges by time and position, from the first one after the key (instant, position).

    Of all groups: a charge does not say its own. `body` is empty without `with_bodies`. An event that was taken back
    has its charge and the one that compensates it.
    """
    columns = admitted_event.c
    at = type_coerce(columns.occurred_at, BigInteger)
    conditions = _charged(place, window)
    if after is not None:
        conditions += [at >= after[0], or_(at > after[0], columns.position > after[1])]
    body: ColumnElement[Any] = event_log.c.body if with_bodies else literal(b"")
    source: FromClause = admitted_event.join(charge, charge.c.position == columns.position)
    if with_bodies:
        source = source.join(event_log, event_log.c.position == columns.position)
    statement = (
        select(
            columns.position,
            at,
            charge.c.quantity,
            charge.c.amount,
            charge.c.entry_id,
            body.label("body"),
            columns.company_id,
            literal(None, BigInteger),
        )
        .select_from(source)
        .where(*conditions)
        .order_by(at, columns.position)
        .limit(limit)
    )
    counted = list(map(WindowCharge._make, transaction.execute(statement).all()))
    corrected = [row for row in _taken_back(transaction, place, window) if after is None or _place(row) > after]
    return sorted([*counted, *corrected], key=_place)[:limit] if corrected else counted


def sum_charges_of_window(transaction: Transaction, place: WindowPlace, window: BilledWindow) -> int:
    """Return what a window's charges of all groups come to, in ledger units."""
    statement = (
        select(func.coalesce(func.sum(charge.c.amount), 0))
        .select_from(admitted_event.join(charge, charge.c.position == admitted_event.c.position))
        .where(*_charged(place, window))
    )
    counted = int(transaction.execute(statement).scalar_one())
    return counted + sum(row.amount for row in _taken_back(transaction, place, window))


def _taken_back(transaction: Transaction, place: WindowPlace, window: BilledWindow) -> list[WindowCharge]:
    """Return charges of a window's events that no longer count, and those that compensate them."""
    columns = correction.c
    statement = (
        select(
            charge.c.position,
            type_coerce(columns.occurred_at, BigInteger),
            charge.c.quantity,
            charge.c.amount,
            charge.c.entry_id,
            event_log.c.body,
            columns.company_id,
            case((charge.c.position == columns.position, columns.event_position)),
        )
        .select_from(
            correction.join(
                charge, or_(charge.c.position == columns.position, charge.c.position == columns.event_position)
            ).join(event_log, event_log.c.position == columns.event_position)
        )
        .where(
            columns.application_id == place.application_id,
            columns.occurred_at >= window.start_at,
            columns.occurred_at < window.end_at,
            columns.company_id == place.company_id,
            columns.applied_at.is_not(None),
            charge.c.meter_id == window.meter_id,
            charge.c.subscription_id == place.subscription_id,
        )
    )
    return list(map(WindowCharge._make, transaction.execute(statement).all()))


def _place(row: WindowCharge) -> tuple[int, int]:
    return row.occurred_at_us, row.position


def _charged(place: WindowPlace, window: BilledWindow) -> list[ColumnElement[bool]]:
    columns = admitted_event.c
    return [
        columns.application_id == place.application_id,
        columns.occurred_at >= window.start_at,
        columns.occurred_at < window.end_at,
        columns.company_id == place.company_id,
        charge.c.meter_id == window.meter_id,
        charge.c.subscription_id == place.subscription_id,
    ]


def _of_place(place: WindowPlace) -> list[ColumnElement[bool]]:
    columns = usage_window.c
    return [
        columns.application_id == place.application_id,
        columns.company_id == place.company_id,
        columns.meter_id == place.meter_id,
        columns.subscription_id == place.subscription_id,
    ]


def _window(row: Row[tuple[object, ...]]) -> BilledWindow:
    return BilledWindow(
        meter_id=row.meter_id,
        start_at=row.start_at,
        end_at=row.end_at,
        group_key=row.group_key,
        period_start=row.period_start,
        quantity=row.quantity,
        billed_quantity=row.billed_quantity,
        event_count=row.event_count,
    )
