"""Re-ratings: what is corrected, how far that has come, and the differences that its preview showed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, or_, select, update

from faregate.base.clock import from_microseconds
from faregate.base.periods import Span
from faregate.storage.database import Transaction
from faregate.storage.ledger import PriceTotal, total_from_row
from faregate.storage.tables import meter_total, price_total, rerating, rerating_difference, usage_window
from faregate.storage.usage import Window, window_from_row
from faregate.storage.usage_states import MeterTotalKey


class ReratingStatus(StrEnum):
    """Where a re-rating is. `applying`: what it corrects holds; some subscriptions are not brought to it yet."""

    DRAFT = "draft"
    APPLYING = "applying"
    APPLIED = "applied"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerating:
    """A correction of the price `series_id`, or of the meter `meter_id` that feeds it.

    `before` and `after`: a definition (of a meter) or terms (of the version `price_id`), as text. The preview saw the
    log up to `through`, and `digest` tells whether it would show the same again. Events after `position` were rated
    by the correction when they came. Subscriptions are brought to it in the
    order of their ids, up to `done_through` so far.
    """

    rerating_id: str
    application_id: str
    description: str
    status: ReratingStatus
    series_id: str
    meter_id: str | None
    price_id: str | None
    before: str
    after: str
    span: Span
    through: int
    digest: str
    position: int | None
    done_through: str
    created_at: datetime
    started_at: datetime | None
    applied_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a subscription's period comes to, before and after: units, and ledger units of its currency."""

    company_id: str
    subscription_id: str
    period_start: datetime
    period_end: datetime
    currency: str
    is_invoiced: bool
    quantity_before: Decimal
    quantity_after: Decimal
    amount_before: int
    amount_after: int


def insert_rerating(transaction: Transaction, new: Rerating, differences: Sequence[Difference]) -> None:
    """Keep a draft with its preview."""
    transaction.execute(insert(rerating).values(**_columns(new)))
    rows = [
        {"rerating_id": new.rerating_id} | {name: getattr(found, name) for name in _DIFFERENCE} for found in differences
    ]
    if rows:
        transaction.execute(insert(rerating_difference), rows)


def update_rerating(transaction: Transaction, changed: Rerating) -> None:
    """Keep how far a re-rating is."""
    transaction.execute(
        update(rerating).where(rerating.c.rerating_id == changed.rerating_id).values(**_columns(changed))
    )


def find_rerating(transaction: Transaction, application_id: str, rerating_id: str) -> Rerating | None:
    """Return the re-rating with the id."""
    found = _reratings(transaction, rerating.c.application_id == application_id, rerating.c.rerating_id == rerating_id)
    return next(iter(found), None)


def list_reratings(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[Rerating]:
    """Return re-ratings in the order in which they were drafted, from the first one after `after`."""
    return _reratings(
        transaction, rerating.c.application_id == application_id, rerating.c.rerating_id > after, limit=limit
    )


def reratings_begun(transaction: Transaction, series_id: str) -> list[Rerating]:
    """Return a price's re-ratings that are, or are being, applied, in the order in which they began to hold."""
    found = _reratings(
        transaction,
        rerating.c.series_id == series_id,
        rerating.c.status.in_([ReratingStatus.APPLYING.value, ReratingStatus.APPLIED.value]),
    )
    return sorted(found, key=lambda one: (one.started_at or one.created_at, one.rerating_id))


def reratings_after(transaction: Transaction, application_id: str, position: int) -> list[Rerating]:
    """Return the re-ratings that began to hold after an event of the log, in the order of their ids."""
    return _reratings(transaction, rerating.c.application_id == application_id, rerating.c.position >= position)


def read_differences(
    transaction: Transaction, rerating_id: str, *, after: tuple[str, str, int] | None, limit: int | None
) -> list[Difference]:
    """Return what a preview showed, by company, subscription and period, from the first row after the key `after`."""
    columns = rerating_difference.c
    statement = (
        select(rerating_difference)
        .where(columns.rerating_id == rerating_id)
        .order_by(columns.company_id, columns.subscription_id, columns.period_start)
        .limit(limit)
    )
    if after is not None:
        company_id, subscription_id, start_us = after
        statement = statement.where(
            or_(
                columns.company_id > company_id,
                (columns.company_id == company_id)
                & (
                    (columns.subscription_id > subscription_id)
                    | (
                        (columns.subscription_id == subscription_id)
                        & (columns.period_start > from_microseconds(start_us))
                    )
                ),
            )
        )
    return [_difference(row) for row in transaction.execute(statement)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceSum:
    """What differences of one currency add up to, in ledger units."""

    currency: str
    amount_before: int
    amount_after: int
    count: int
    companies: int
    first_start: datetime
    last_end: datetime


def sum_differences(transaction: Transaction, rerating_id: str) -> list[DifferenceSum]:
    """Return what the differences of a re-rating add up to, by currency. Amounts may be larger than the ledger's."""
    columns = rerating_difference.c
    statement = select(
        columns.currency,
        columns.company_id,
        columns.amount_before,
        columns.amount_after,
        columns.period_start,
        columns.period_end,
    ).where(columns.rerating_id == rerating_id)
    by_currency: dict[str, list[Any]] = {}
    for row in transaction.execute(statement):
        by_currency.setdefault(row.currency, []).append(row)
    return [
        DifferenceSum(
            currency=code,
            amount_before=sum(row.amount_before for row in rows),
            amount_after=sum(row.amount_after for row in rows),
            count=len(rows),
            companies=len({row.company_id for row in rows}),
            first_start=min(row.period_start for row in rows),
            last_end=max(row.period_end for row in rows),
        )
        for code, rows in sorted(by_currency.items())
    ]


def totals_of_prices(
    transaction: Transaction, price_ids: Collection[str], *, span: Span, subscription_id: str | None = None
) -> list[PriceTotal]:
    """Return the totals of versions of a price, of one subscription or of all, in periods that touch a span."""
    columns = price_total.c
    statement = select(price_total).where(columns.price_id.in_(price_ids), columns.period_end > span.start)
    if span.end is not None:
        statement = statement.where(columns.period_start < span.end)
    if subscription_id is not None:
        statement = statement.where(columns.subscription_id == subscription_id)
    return [total_from_row(row) for row in transaction.execute(statement)]


def windows_of_meters(
    transaction: Transaction, meter_ids: Collection[str], *, subscription_id: str, from_at: datetime
) -> list[Window]:
    """Return a subscription's windows of meters, of periods that begin at an instant or later."""
    columns = usage_window.c
    statement = select(usage_window).where(
        columns.subscription_id == subscription_id, columns.meter_id.in_(meter_ids), columns.period_start >= from_at
    )
    return [window_from_row(row) for row in transaction.execute(statement)]


def windows_between(
    transaction: Transaction,
    application_id: str,
    *,
    company_id: str,
    meter_ids: Collection[str],
    from_at: datetime,
    to_at: datetime,
) -> list[Window]:
    """Return a company's windows of meters that begin in [from, to), on whatever plan."""
    columns = usage_window.c
    statement = select(usage_window).where(
        columns.application_id == application_id,
        columns.company_id == company_id,
        columns.meter_id.in_(meter_ids),
        columns.start_at >= from_at,
        columns.start_at < to_at,
    )
    return [window_from_row(row) for row in transaction.execute(statement)]


def states_of_meters(
    transaction: Transaction, meter_ids: Collection[str], *, subscription_id: str, from_at: datetime
) -> set[MeterTotalKey]:
    """Return which states a subscription has of meters, in periods that begin at an instant or later."""
    columns = meter_total.c
    statement = select(columns.subscription_id, columns.meter_id, columns.period_start, columns.group_key).where(
        columns.subscription_id == subscription_id, columns.meter_id.in_(meter_ids), columns.period_start >= from_at
    )
    return {MeterTotalKey(*row) for row in transaction.execute(statement)}


_DIFFERENCE = tuple(Difference.__dataclass_fields__)


def _columns(of: Rerating) -> dict[str, Any]:
    return {
        "rerating_id": of.rerating_id,
        "application_id": of.application_id,
        "description": of.description,
        "status": of.status.value,
        "series_id": of.series_id,
        "meter_id": of.meter_id,
        "price_id": of.price_id,
        "before": of.before,
        "after": of.after,
        "from_at": of.span.start,
        "to_at": of.span.end,
        "through": of.through,
        "digest": of.digest,
        "position": of.position,
        "done_through": of.done_through,
        "created_at": of.created_at,
        "started_at": of.started_at,
        "applied_at": of.applied_at,
    }


def _reratings(transaction: Transaction, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Rerating]:
    statement = select(rerating).where(*conditions).order_by(rerating.c.rerating_id).limit(limit)
    return [_rerating(row) for row in transaction.execute(statement)]


def _rerating(row: Row[Any]) -> Rerating:
    return Rerating(
        rerating_id=row.rerating_id,
        application_id=row.application_id,
        description=row.description,
        status=ReratingStatus(row.status),
        series_id=row.series_id,
        meter_id=row.meter_id,
        price_id=row.price_id,
        before=row.before,
        after=row.after,
        span=Span(row.from_at, row.to_at),
        through=row.through,
        digest=row.digest,
        position=row.position,
        done_through=row.done_through,
        created_at=row.created_at,
        started_at=row.started_at,
        applied_at=row.applied_at,
    )


def _difference(row: Row[Any]) -> Difference:
    return Difference(**{name: getattr(row, name) for name in _DIFFERENCE})
