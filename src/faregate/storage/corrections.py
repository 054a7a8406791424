"""Corrections of events: which event each takes back, and what stands in its place."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, and_, delete, insert, or_, select, update

from faregate.storage.database import Transaction
from faregate.storage.events import Admitted
from faregate.storage.tables import (
    admitted_event,
    charge,
    correction,
    event_log,
    unmeterable,
    usage_window,
)
from faregate.storage.usage import WindowKey

_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """`position`: where the log takes the event at `event_position` back; `replacement_position`: what stands for it.

    `change` is what was asked for, as text, empty for a cancellation. `company_id` and `occurred_at` are the event's.
    """

    position: int
    application_id: str
    correction_id: str
    event_position: int
    replacement_position: int | None
    company_id: str | None
    occurred_at: datetime
    change: str
    reason: str
    created_at: datetime
    applied_at: datetime | None = None


class ChargedEvent(NamedTuple):
    """A charge of an event that counts, with the event: what a recount adds up."""

    position: int
    meter_id: str
    subscription_id: str
    price_id: str
    quantity: Decimal
    body: bytes


class StandingCharge(NamedTuple):
    """What an event was charged on one meter."""

    meter_id: str
    company_id: str
    subscription_id: str
    price_id: str
    quantity: Decimal
    amount: int


def insert_correction(transaction: Transaction, new: Correction) -> None:
    """Keep a correction that was asked for; an event has one at most."""
    transaction.execute(
        insert(correction).values(
            position=new.position,
            application_id=new.application_id,
            correction_id=new.correction_id,
            event_position=new.event_position,
            replacement_position=new.replacement_position,
            company_id=new.company_id,
            occurred_at=new.occurred_at,
            change=new.change,
            reason=new.reason,
            created_at=new.created_at,
            applied_at=new.applied_at,
        )
    )


def mark_applied(transaction: Transaction, position: int, *, applied_at: datetime) -> None:
    """Keep when the event was taken back."""
    transaction.execute(update(correction).where(correction.c.position == position).values(applied_at=applied_at))


def find_correction(transaction: Transaction, application_id: str, correction_id: str) -> Correction | None:
    """Return the correction of the caller's id."""
    return _one(transaction, correction.c.application_id == application_id, correction.c.correction_id == correction_id)


def correction_of(transaction: Transaction, event_position: int) -> Correction | None:
    """Return what takes the event at a position back, if something does."""
    return _one(transaction, correction.c.event_position == event_position)


def correction_that_made(transaction: Transaction, position: int) -> Correction | None:
    """Return the correction whose record, or whose replacement, stands at a position."""
    columns = correction.c
    return _one(transaction, or_(columns.position == position, columns.replacement_position == position))


def corrections_between(transaction: Transaction, first: int, last: int) -> dict[int, Correction]:
    """Return corrections by the positions of their records and replacements, of those from `first` to `last`."""
    columns = correction.c
    statement = select(correction).where(columns.position.between(first - 1, last))
    found = {}
    for row in transaction.execute(statement):
        one = _correction(row)
        for position in (one.position, one.replacement_position):
            if position is not None and first <= position <= last:
                found[position] = one
    return found


def find_admitted(transaction: Transaction, application_id: str, position: int) -> Admitted | None:
    """Return the event at a position, if it counts."""
    columns = admitted_event.c
    row = transaction.execute(
        select(admitted_event).where(columns.position == position, columns.application_id == application_id)
    ).first()
    return None if row is None else Admitted(position=position, company_id=row.company_id, occurred_at=row.occurred_at)


def stop_counting(transaction: Transaction, position: int) -> bool:
    """Take an event out of those that count; False where it does not count. Its charges and the event itself stay."""
    return bool(transaction.execute(delete(admitted_event).where(admitted_event.c.position == position)).rowcount)


def standing_charges(transaction: Transaction, position: int) -> list[StandingCharge]:
    """Return what the event at a position was charged, by meter."""
    columns = charge.c
    statement = select(
        columns.meter_id,
        columns.company_id,
        columns.subscription_id,
        columns.price_id,
        columns.quantity,
        columns.amount,
    )
    found = transaction.execute(statement.where(columns.position == position).order_by(columns.meter_id))
    return [StandingCharge(*row) for row in found]


def meters_that_met(transaction: Transaction, position: int) -> set[str]:
    """Return the meters that have counted an event, or found no quantity in it."""
    found: set[str] = set()
    for table in (charge, unmeterable):
        found.update(transaction.execute(select(table.c.meter_id).where(table.c.position == position)).scalars())
    return found


def charged_events(
    transaction: Transaction,
    application_id: str,
    company_id: str,
    *,
    between: tuple[datetime, datetime],
    of_meters: ColumnElement[bool],
) -> Generator[ChargedEvent]:
    """Yield charges of a company's events that still count, from <= instant < to, in log order.

    Whoever stops reading before the end closes the generator.
    """
    start, end = between
    columns, charged = admitted_event.c, charge.c
    statement = (
        select(
            charged.position,
            charged.meter_id,
            charged.subscription_id,
            charged.price_id,
            charged.quantity,
            event_log.c.body,
        )
        .join(admitted_event, columns.position == charged.position)
        .join(event_log, event_log.c.position == charged.position)
        .where(
            columns.application_id == application_id,
            columns.occurred_at >= start,
            columns.occurred_at < end,
            columns.company_id == company_id,
            of_meters,
        )
        .order_by(charged.position, charged.meter_id)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    with closing(transaction.execute(statement)) as rows:
        for row in rows:
            yield ChargedEvent(*row)


def of_meter_or_price(meter_id: str, subscription_id: str, price_id: str) -> ColumnElement[bool]:
    """Return the condition that a charge is of a meter, or of an account's price."""
    columns = charge.c
    return or_(
        columns.meter_id == meter_id,
        and_(columns.subscription_id == subscription_id, columns.price_id == price_id),
    )


def window_holding(transaction: Transaction, key: WindowKey, at: datetime) -> WindowKey | None:
    """Return the window of the key's company, meter, subscription and group that holds an instant."""
    columns = usage_window.c
    start = transaction.execute(
        select(columns.start_at).where(
            columns.application_id == key.application_id,
            columns.company_id == key.company_id,
            columns.meter_id == key.meter_id,
            columns.subscription_id == key.subscription_id,
            columns.group_key == key.group_key,
            columns.start_at <= at,
            columns.end_at > at,
        )
    ).scalar()
    return None if start is None else key._replace(start_at=start)


def _one(transaction: Transaction, *conditions: ColumnElement[bool]) -> Correction | None:
    row = transaction.execute(select(correction).where(*conditions)).first()
    return None if row is None else _correction(row)


def _correction(row: Row[Any]) -> Correction:
    return Correction(
        position=row.position,
        application_id=row.application_id,
        correction_id=row.correction_id,
        event_position=row.event_position,
        replacement_position=row.replacement_position,
        company_id=row.company_id,
        occurred_at=row.occurred_at,
        change=row.change,
        reason=row.reason,
        created_at=row.created_at,
        applied_at=row.applied_at,
    )
