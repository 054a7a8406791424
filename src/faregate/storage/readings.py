"""What usage, charges and credit look like to whoever asks: reading only, ordered, and from a place in the order on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, ColumnElement, Row, Text, func, literal, select, tuple_, type_coerce
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from faregate.domain.metering.aggregate import Aggregate, decode_aggregate
from faregate.storage.columns import Instant
from faregate.storage.database import Transaction
from faregate.storage.tables import (
    charge,
    correction,
    event_log,
    ledger_entry,
    price,
    set_aside,
    subscription,
    unmeterable,
    usage_day,
    usage_window,
)

_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which usage or charges: of one company and meter or of all, and when: from <= instant < to."""

    application_id: str
    company_id: str | None = None
    meter_id: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowReading:
    """One usage window of a company and a meter."""

    company_id: str
    meter_id: str
    start_at: datetime
    end_at: datetime
    group_key: str
    quantity: Decimal
    state: Aggregate | None
    event_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeReading:
    """One event's effect on one meter; `amount` in ledger units of `currency`.

    `corrects`: the place of the event whose charge this one takes back.
    """

    position: int
    meter_id: str
    company_id: str
    subscription_id: str
    price_id: str
    occurred_at: datetime
    quantity: Decimal
    amount: int
    currency: str
    corrects: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryReading:
    """One ledger entry; `amount` in ledger units, positive adds."""

    entry_id: int
    kind: str
    amount: int
    price_id: str | None
    period_start: datetime | None
    quantity: Decimal | None
    description: str
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAsideReading:
    """An event that was kept and not metered."""

    position: int
    ingested_at: datetime
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmeterableCount:
    """How many events matched a meter without a quantity, for one reason."""

    meter_id: str
    reason: str
    event_count: int


class DayReading(NamedTuple):
    """One day of a company, a meter and a group, as it is kept: instants in microseconds, quantity as its numeral."""

    company_id: str
    meter_id: str
    start_at_us: int
    group_key: str
    end_at_us: int
    quantity: str
    event_count: int


def read_usage_windows(
    transaction: Transaction, selection: Selection, *, from_key: tuple[str, str, datetime] | None
) -> Generator[WindowReading]:
    """Yield windows by company, meter and start, beginning with the key (company, meter, start) itself.

    Whoever stops reading before the end closes the generator: the database may hold a cursor open for it.
    """
    columns = usage_window.c
    conditions = [*_conditions(selection, usage_window.c.start_at, columns), columns.event_count > 0]
    if from_key is not None:
        company_id, meter_id, start_at = from_key
        place = tuple_(literal(company_id), literal(meter_id), literal(start_at, Instant))
        conditions.append(tuple_(columns.company_id, columns.meter_id, columns.start_at) >= place)
    statement = (
        select(usage_window)
        .where(*conditions)
        .order_by(columns.company_id, columns.meter_id, columns.start_at, columns.subscription_id, columns.group_key)
        .execution_options(yield_per=_ROWS_AT_ONCE)
    )
    with closing(transaction.execute(statement)) as rows:
        for row in rows:
            yield WindowReading(
                company_id=row.company_id,
                meter_id=row.meter_id,
                start_at=row.start_at,
                end_at=row.end_at,
                group_key=row.group_key,
                quantity=row.quantity,
                state=None if row.state is None else decode_aggregate(row.state),
                event_count=row.event_count,
            )


def read_usage_days(
    transaction: Transaction, selection: Selection, *, from_key: tuple[str, str, int, str] | None, limit: int
) -> list[DayReading]:
    """Return days in UTC by company, meter, start and group, beginning with the key itself."""
    columns = usage_day.c
    at, end_at = (type_coerce(column, BigInteger) for column in (columns.start_at, columns.end_at))
    conditions = [*_conditions(selection, columns.start_at, columns), columns.event_count > 0]
    if from_key is not None:
        place = tuple_(columns.company_id, columns.meter_id, at, columns.group_key)
        conditions.append(place >= tuple_(*map(literal, from_key)))
    statement = (
        select(
            columns.company_id,
            columns.meter_id,
            at,
            columns.group_key,
            end_at,
            type_coerce(columns.quantity, Text),
            columns.event_count,
        )
        .where(*conditions)
        .order_by(columns.company_id, columns.meter_id, columns.start_at, columns.group_key)
        .limit(limit)
    )
    return list(map(DayReading._make, transaction.execute(statement).all()))


def read_charges(
    transaction: Transaction, selection: Selection, *, after: tuple[int, str], limit: int
) -> list[ChargeReading]:
    """Return charges by log position and meter, from the first one after the key (position, meter)."""
    position, meter_id = after
    conditions = _conditions(selection, charge.c.occurred_at, charge.c)
    conditions.append(tuple_(charge.c.position, charge.c.meter_id) > tuple_(literal(position), literal(meter_id)))
    return _charges(transaction, conditions, limit)


def charges_of_event(transaction: Transaction, position: int) -> list[ChargeReading]:
    """Return what the event at a log position was charged, by meter."""
    return _charges(transaction, [charge.c.position == position], None)


def read_entries(transaction: Transaction, subscription_id: str, *, after: int, limit: int) -> list[EntryReading]:
    """Return a subscription's ledger entries, oldest first, from the first one after the id `after`."""
    statement = (
        select(ledger_entry)
        .where(ledger_entry.c.subscription_id == subscription_id, ledger_entry.c.entry_id > after)
        .order_by(ledger_entry.c.entry_id)
        .limit(limit)
    )
    return [_entry(row) for row in transaction.execute(statement)]


def read_latest_entries(transaction: Transaction, subscription_id: str, *, limit: int) -> list[EntryReading]:
    """Return a subscription's latest ledger entries, newest first."""
    statement = (
        select(ledger_entry)
        .where(ledger_entry.c.subscription_id == subscription_id)
        .order_by(ledger_entry.c.entry_id.desc())
        .limit(limit)
    )
    return [_entry(row) for row in transaction.execute(statement)]


def read_set_aside(transaction: Transaction, application_id: str, *, after: int, limit: int) -> list[SetAsideReading]:
    """Return events that were set aside, oldest first, from the first one after the log position `after`."""
    conditions = [set_aside.c.application_id == application_id, set_aside.c.position > after]
    return _set_aside(transaction, conditions, limit)


def set_aside_of_event(transaction: Transaction, position: int) -> SetAsideReading | None:
    """Return why the event at a log position was set aside, if it was."""
    return next(iter(_set_aside(transaction, [set_aside.c.position == position], 1)), None)


def count_unmeterable(transaction: Transaction, application_id: str, *, limit: int) -> list[UnmeterableCount]:
    """Return the commonest reasons for which events had no quantity, by meter."""
    count = func.count().label("event_count")
    statement = (
        select(unmeterable.c.meter_id, unmeterable.c.reason, count)
        .where(
            unmeterable.c.application_id == application_id,
            unmeterable.c.position.not_in(select(correction.c.event_position)),
        )
        .group_by(unmeterable.c.meter_id, unmeterable.c.reason)
        .order_by(count.desc(), unmeterable.c.meter_id, unmeterable.c.reason)
        .limit(limit)
    )
    return [
        UnmeterableCount(meter_id=row.meter_id, reason=row.reason, event_count=row.event_count)
        for row in transaction.execute(statement)
    ]


def unmeterable_of_event(transaction: Transaction, position: int) -> list[UnmeterableCount]:
    """Return the meters that the event at a log position matched without a quantity."""
    statement = select(unmeterable).where(unmeterable.c.position == position).order_by(unmeterable.c.meter_id)
    return [
        UnmeterableCount(meter_id=row.meter_id, reason=row.reason, event_count=1)
        for row in transaction.execute(statement)
    ]


def _entry(row: Row[tuple[object, ...]]) -> EntryReading:
    return EntryReading(
        entry_id=row.entry_id,
        kind=row.kind,
        amount=row.amount,
        price_id=row.price_id,
        period_start=row.period_start,
        quantity=row.quantity,
        description=row.description,
        occurred_at=row.occurred_at,
    )


def _conditions(
    selection: Selection, instant: ColumnElement[datetime], columns: ReadOnlyColumnCollection[str, Column[Any]]
) -> list[ColumnElement[bool]]:
    conditions = [columns.application_id == selection.application_id]
    if selection.company_id is not None:
        conditions.append(columns.company_id == selection.company_id)
    if selection.meter_id is not None:
        conditions.append(columns.meter_id == selection.meter_id)
    if selection.from_at is not None:
        conditions.append(instant >= selection.from_at)
    if selection.to_at is not None:
        conditions.append(instant < selection.to_at)
    return conditions


def _charges(transaction: Transaction, conditions: list[ColumnElement[bool]], limit: int | None) -> list[ChargeReading]:
    statement = (
        select(
            charge,
            func.coalesce(subscription.c.currency, price.c.currency).label("currency"),
            correction.c.event_position,
        )
        .join(price, price.c.price_id == charge.c.price_id)
        .outerjoin(correction, correction.c.position == charge.c.position)
        .outerjoin(subscription, subscription.c.subscription_id == charge.c.subscription_id)
        .where(*conditions)
        .order_by(charge.c.position, charge.c.meter_id)
        .limit(limit)
    )
    return [
        ChargeReading(
            position=row.position,
            meter_id=row.meter_id,
            company_id=row.company_id,
            subscription_id=row.subscription_id,
            price_id=row.price_id,
            occurred_at=row.occurred_at,
            quantity=row.quantity,
            amount=row.amount,
            currency=row.currency,
            corrects=row.event_position,
        )
        for row in transaction.execute(statement)
    ]


def _set_aside(transaction: Transaction, conditions: list[ColumnElement[bool]], limit: int) -> list[SetAsideReading]:
    statement = (
        select(set_aside, event_log.c.ingested_at)
        .join(event_log, event_log.c.position == set_aside.c.position)
        .where(*conditions)
        .order_by(set_aside.c.position)
        .limit(limit)
    )
    return [
        SetAsideReading(position=row.position, ingested_at=row.ingested_at, reason=row.reason, detail=row.detail)
        for row in transaction.execute(statement)
    ]
