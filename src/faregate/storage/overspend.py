"""Overspend, counted by subscription and cause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, tuple_, update

from faregate.storage.database import Transaction
from faregate.storage.tables import overspend, subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class OverspendRow:
    """What one subscription has overspent for one cause, in ledger units; `times`: transactions that did."""

    subscription_id: str
    company_id: str
    currency: str
    cause: str
    amount: int
    times: int
    last_at: datetime


def add_overspend(
    transaction: Transaction, application_id: str, subscription_id: str, *, cause: str, amount: int, at: datetime
) -> None:
    """Add to a counter."""
    columns = overspend.c
    changed = transaction.execute(
        update(overspend)
        .where(columns.subscription_id == subscription_id, columns.cause == cause)
        .values(amount=columns.amount + amount, times=columns.times + 1, last_at=at)
    )
    if not changed.rowcount:
        transaction.execute(
            insert(overspend).values(
                application_id=application_id,
                subscription_id=subscription_id,
                cause=cause,
                amount=amount,
                times=1,
                last_at=at,
            )
        )


def list_overspend(
    transaction: Transaction, application_id: str, *, after: tuple[str, str], limit: int
) -> list[OverspendRow]:
    """Return counters by subscription and cause."""
    columns = overspend.c
    place = tuple_(columns.subscription_id, columns.cause)
    statement = (
        select(overspend, subscription.c.company_id, subscription.c.currency)
        .join(subscription, subscription.c.subscription_id == columns.subscription_id)
        .where(columns.application_id == application_id, place > after)
        .order_by(columns.subscription_id, columns.cause)
        .limit(limit)
    )
    return [
        OverspendRow(
            subscription_id=row.subscription_id,
            company_id=row.company_id,
            currency=row.currency,
            cause=row.cause,
            amount=row.amount,
            times=row.times,
            last_at=row.last_at,
        )
        for row in transaction.execute(statement)
    ]


def sum_overspend(transaction: Transaction) -> dict[tuple[str, str], int]:
    """Return what was overspent by cause and currency, in ledger units, of all applications."""
    columns = overspend.c
    statement = (
        select(columns.cause, subscription.c.currency, func.sum(columns.amount))
        .join(subscription, subscription.c.subscription_id == columns.subscription_id)
        .group_by(columns.cause, subscription.c.currency)
    )
    return {(row[0], row[1]): int(row[2]) for row in transaction.execute(statement)}
