"""The margin of every day, kept beside metering: how far it has come, days to do again, and sums for reports."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    cast,
    delete,
    func,
    insert,
    literal,
    literal_column,
    select,
    tuple_,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from faregate.base.clock import from_microseconds
from faregate.domain.costing.cost import COST_PLACES
from faregate.storage.database import Transaction
from faregate.storage.kept_events import KeptEvent, KeptRange, read_kept
from faregate.storage.tables import (
    admitted_event,
    charge,
    consumer,
    event_log,
    ledger_entry,
    margin_day,
    margin_redo,
    subscription,
)
from faregate.storage.upsert import chunks

MARGIN: Final = "margin"
DAY: Final = timedelta(days=1)
_REST: Final = 10**COST_PLACES
"""A cost is kept in ledger units and, so that sums are exact, a rest in parts of one."""


class MarginKey(NamedTuple):
    """What is added up: one day in UTC of a company, model, key, route and currency; empty where there is none."""

    application_id: str
    day_us: int
    company_id: str
    model: str
    key_id: str
    route: str
    currency: str


@dataclass(slots=True)
class MarginSum:
    """`revenue` in ledger units, `cost` in the parts of them that `COST_PLACES` says."""

    event_count: int = 0
    uncosted_count: int = 0
    revenue: int = 0
    uncosted_revenue: int = 0
    cost: int = 0

    def add(self, other: MarginSum) -> None:
        """Add another sum of the same currency."""
        self.event_count += other.event_count
        self.uncosted_count += other.uncosted_count
        self.revenue += other.revenue
        self.uncosted_revenue += other.uncosted_revenue
        self.cost += other.cost


class Revenue(NamedTuple):
    """What an event was charged, in ledger units, and in which currency; None where it is charged to nobody."""

    amount: int
    currency: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """A day to do again: events up to `through` after a key (instant, position). None: it has not begun."""

    application_id: str
    day_at: datetime
    through: int | None
    after: tuple[int, int]


class AdmittedKept(NamedTuple):
    """A kept event with its application."""

    application_id: str
    kept: KeptEvent


class Dimension(NamedTuple):
    """A column of the report, and its value as text."""

    name: str

    @property
    def column(self) -> ColumnElement[str]:
        """Return what rows are told apart by."""
        return cast(margin_day.c[self.name], Text) if self.name == "day_at" else margin_day.c[self.name]


class MarginRow(NamedTuple):
    """A row of the report: `currency` is empty where nothing was charged and nothing priced."""

    value: str
    currency: str
    total: MarginSum


class EntrySum(NamedTuple):
    """Ledger entries of a kind and currency: their sum in ledger units, positive adding to accounts."""

    kind: str
    currency: str
    amount: int


def margin_position(transaction: Transaction) -> int | None:
    """Return the position up to which margins are kept; None where nobody has asked for them."""
    found: int | None = transaction.execute(select(consumer.c.position).where(consumer.c.name == MARGIN)).scalar()
    return found


def start_margins(transaction: Transaction) -> None:
    """Keep margins from the log's first event on, if they are not kept."""
    if margin_position(transaction) is None:
        transaction.execute(insert(consumer).values(name=MARGIN, position=0))


def move_margins(transaction: Transaction, position: int) -> None:
    """Set the position up to which margins are kept."""
    transaction.execute(update(consumer).where(consumer.c.name == MARGIN).values(position=position))


def read_admitted(transaction: Transaction, *, after: int, limit: int) -> list[AdmittedKept]:
    """Return the next admitted events in log order, of every application."""
    columns = admitted_event.c
    at = type_coerce(columns.occurred_at, BigInteger)
    statement = (
        select(columns.application_id, columns.position, columns.company_id, at, event_log.c.body)
        .join(event_log, event_log.c.position == columns.position)
        .where(columns.position > after)
        .order_by(columns.position)
        .limit(limit)
    )
    return [AdmittedKept(row[0], KeptEvent._make(row[1:])) for row in transaction.execute(statement)]


def revenue_of(transaction: Transaction, positions: Collection[int]) -> dict[int, Revenue]:
    """Return what events were charged; one that matched no meter is not there."""
    found: dict[int, Revenue] = {}
    for chunk in chunks([(position,) for position in sorted(positions)]):
        statement = (
            select(charge.c.position, func.sum(charge.c.amount), func.max(subscription.c.currency))
            .join(subscription, subscription.c.subscription_id == charge.c.subscription_id, isouter=True)
            .where(charge.c.position.in_([position for (position,) in chunk]))
            .group_by(charge.c.position)
        )
        for position, amount, currency in transaction.execute(statement):
            found[position] = Revenue(int(amount), currency)
    return found


def add_margins(transaction: Transaction, sums: Mapping[MarginKey, MarginSum]) -> None:
    """Add to the days."""
    if not sums:
        return
    build = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    statement = build(margin_day)
    added = ("event_count", "uncosted_count", "revenue", "uncosted_revenue", "cost", "cost_rest")
    transaction.execute(
        statement.on_conflict_do_update(
            index_elements=["application_id", "day_at", "company_id", "model", "key_id", "route", "currency"],
            set_={name: margin_day.c[name] + statement.excluded[name] for name in added},
        ),
        [
            {
                "application_id": key.application_id,
                "day_at": from_microseconds(key.day_us),
                "company_id": key.company_id,
                "model": key.model,
                "key_id": key.key_id,
                "route": key.route,
                "currency": key.currency,
                "event_count": total.event_count,
                "uncosted_count": total.uncosted_count,
                "revenue": total.revenue,
                "uncosted_revenue": total.uncosted_revenue,
                "cost": total.cost // _REST,
                "cost_rest": total.cost % _REST,
            }
            for key, total in sorted(sums.items())
        ],
    )


def redo_days(transaction: Transaction, application_id: str, *, from_at: datetime, to_at: datetime | None) -> None:
    """Let days that hold an instant of from <= instant < to be done again, those that are kept."""
    if margin_position(transaction) is None:
        return
    days = select(margin_day.c.day_at).where(
        margin_day.c.application_id == application_id, margin_day.c.day_at > from_at - DAY
    )
    if to_at is not None:
        days = days.where(margin_day.c.day_at < to_at)
    found = set(transaction.execute(days.distinct()).scalars())
    known = margin_redo.c.application_id == application_id
    transaction.execute(delete(margin_redo).where(known, margin_redo.c.day_at.in_(found)))
    rows = [
        {"application_id": application_id, "day_at": day, "through": None, "after_us": 0, "after_position": 0}
        for day in sorted(found)
    ]
    if rows:
        transaction.execute(insert(margin_redo), rows)


def first_redo(transaction: Transaction) -> Redo | None:
    """Return the earliest day to do again."""
    statement = select(margin_redo).order_by(margin_redo.c.day_at, margin_redo.c.application_id).limit(1)
    row = transaction.execute(statement).first()
    if row is None:
        return None
    return Redo(
        application_id=row.application_id,
        day_at=row.day_at,
        through=row.through,
        after=(row.after_us, row.after_position),
    )


def forget_day(transaction: Transaction, redo: Redo) -> None:
    """Empty a day that is begun again."""
    transaction.execute(
        delete(margin_day).where(margin_day.c.application_id == redo.application_id, margin_day.c.day_at == redo.day_at)
    )


def read_redo(transaction: Transaction, redo: Redo, *, limit: int) -> list[KeptEvent]:
    """Return the day's next events."""
    wanted = KeptRange(
        application_id=redo.application_id,
        from_at=redo.day_at,
        to_at=redo.day_at + DAY,
        through=redo.through or 0,
    )
    return read_kept(transaction, wanted, after=redo.after, limit=limit)


def move_redo(transaction: Transaction, redo: Redo) -> None:
    """Keep how far a day has come."""
    transaction.execute(
        update(margin_redo)
        .where(margin_redo.c.application_id == redo.application_id, margin_redo.c.day_at == redo.day_at)
        .values(through=redo.through, after_us=redo.after[0], after_position=redo.after[1])
    )


def end_redo(transaction: Transaction, redo: Redo) -> None:
    """Forget that a day was to be done again."""
    transaction.execute(
        delete(margin_redo).where(
            margin_redo.c.application_id == redo.application_id, margin_redo.c.day_at == redo.day_at
        )
    )


def count_redo(transaction: Transaction, application_id: str) -> int:
    """Return how many days are to be done again."""
    statement = select(func.count()).select_from(margin_redo).where(margin_redo.c.application_id == application_id)
    found: int = transaction.execute(statement).scalar_one()
    return found


def count_behind(transaction: Transaction, application_id: str, position: int) -> int:
    """Return how many admitted events are not in the margins yet."""
    columns = admitted_event.c
    statement = (
        select(func.count())
        .select_from(admitted_event)
        .where(columns.position > position, columns.application_id == application_id)
    )
    found: int = transaction.execute(statement).scalar_one()
    return found


def read_margins(
    transaction: Transaction,
    application_id: str,
    *,
    by: Dimension,
    from_at: datetime,
    to_at: datetime,
    after: tuple[str, str] | None,
    limit: int,
) -> list[MarginRow]:
    """Return sums by a column and currency, in their order, from the first one after a pair of them."""
    value, currency = by.column, margin_day.c.currency
    statement = (
        select(value, currency, *_sums())
        .where(*_of_days(application_id, from_at, to_at))
        .group_by(value, currency)
        .order_by(value, currency)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(value, currency) > tuple_(literal(after[0]), literal(after[1])))
    return [MarginRow(row[0], row[1], _sum(tuple(row[2:]))) for row in transaction.execute(statement)]


def read_margin_totals(
    transaction: Transaction, application_id: str, *, from_at: datetime, to_at: datetime
) -> list[MarginRow]:
    """Return the sums of all days, by currency."""
    currency = margin_day.c.currency
    statement = (
        select(currency, *_sums())
        .where(*_of_days(application_id, from_at, to_at))
        .group_by(currency)
        .order_by(currency)
    )
    return [MarginRow("", row[0], _sum(tuple(row[1:]))) for row in transaction.execute(statement)]


def read_entries_beside_usage(
    transaction: Transaction, application_id: str, *, from_at: datetime, to_at: datetime
) -> list[EntrySum]:
    """Return ledger entries that no event made, added up by kind and currency."""
    columns = ledger_entry.c
    statement = (
        select(columns.kind, subscription.c.currency, func.sum(columns.amount))
        .join(subscription, subscription.c.subscription_id == columns.subscription_id)
        .where(
            columns.application_id == application_id,
            columns.occurred_at >= from_at,
            columns.occurred_at < to_at,
            # As in the index, which a bound value would keep from being used.
            columns.kind != literal_column("'debit'"),
        )
        .group_by(columns.kind, subscription.c.currency)
        .order_by(columns.kind, subscription.c.currency)
    )
    return [EntrySum(kind, currency, int(amount)) for kind, currency, amount in transaction.execute(statement)]


def _sums() -> list[ColumnElement[int]]:
    names = ("event_count", "uncosted_count", "revenue", "uncosted_revenue", "cost", "cost_rest")
    return [func.sum(margin_day.c[name]) for name in names]


def _of_days(application_id: str, from_at: datetime, to_at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        margin_day.c.application_id == application_id,
        margin_day.c.day_at >= from_at,
        margin_day.c.day_at < to_at,
    )


def _sum(values: tuple[object, ...]) -> MarginSum:
    events, uncosted, revenue, uncosted_revenue, cost, rest = (int(str(value)) for value in values)
    return MarginSum(events, uncosted, revenue, uncosted_revenue, cost * _REST + rest)
