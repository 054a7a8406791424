"""What invoiced periods came to, what was billed of them, and every adjustment with its source."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, Select, insert, select, tuple_, update

from faregate.domain.billing.adjustment import AdjustmentSource, PriceBill
from faregate.storage.database import Transaction
from faregate.storage.ledger import TotalKey
from faregate.storage.tables import adjustment, price_bill, subscription
from faregate.storage.upsert import upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAdjustment:
    """`amount` in ledger units: above zero, the customer owes more; `source_id` makes it repeatable."""

    application_id: str
    key: TotalKey
    source: AdjustmentSource
    source_id: str
    quantity: Decimal
    amount: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """An adjustment as it is kept. `billed_in`: where the period began whose invoice it is on; None while it waits."""

    adjustment_id: int
    key: TotalKey
    company_id: str
    currency: str
    source: AdjustmentSource
    source_id: str
    quantity: Decimal
    amount: int
    created_at: datetime
    billed_in: datetime | None


def insert_adjustment(transaction: Transaction, new: NewAdjustment) -> bool:
    """Keep an adjustment; False where its source has made it before."""
    columns = adjustment.c
    of_total = (
        columns.subscription_id == new.key.subscription_id,
        columns.price_id == new.key.price_id,
        columns.period_start == new.key.period_start,
    )
    statement = select(columns.adjustment_id).where(
        *of_total, columns.source == new.source.value, columns.source_id == new.source_id
    )
    if transaction.execute(statement).first() is not None:
        return False
    transaction.execute(
        insert(adjustment).values(
            application_id=new.application_id,
            subscription_id=new.key.subscription_id,
            price_id=new.key.price_id,
            period_start=new.key.period_start,
            source=new.source.value,
            source_id=new.source_id,
            quantity=new.quantity,
            amount=new.amount,
            created_at=new.created_at,
            billed_in=None,
        )
    )
    return True


def waiting_adjustments(transaction: Transaction, subscription_id: str) -> list[Adjustment]:
    """Return adjustments that no invoice has taken up, by period and price, oldest first."""
    columns = adjustment.c
    statement = (
        _statement()
        .where(columns.subscription_id == subscription_id, columns.billed_in.is_(None))
        .order_by(columns.period_start, columns.price_id, columns.adjustment_id)
    )
    return [_adjustment(row) for row in transaction.execute(statement)]


def mark_billed(transaction: Transaction, keys: Collection[TotalKey], *, billed_in: datetime) -> None:
    """Keep that the waiting adjustments of these totals are on the invoice of the period that begins at `billed_in`."""
    columns = adjustment.c
    if keys:
        transaction.execute(
            update(adjustment)
            .where(
                tuple_(columns.subscription_id, columns.price_id, columns.period_start).in_(
                    [tuple(key) for key in keys]
                ),
                columns.billed_in.is_(None),
            )
            .values(billed_in=billed_in)
        )


def list_adjustments(
    transaction: Transaction, application_id: str, *, subscription_id: str | None, after: int, limit: int
) -> list[Adjustment]:
    """Return adjustments, of one subscription or of all, oldest first, from the first one after the id `after`."""
    columns = adjustment.c
    conditions = [columns.application_id == application_id, columns.adjustment_id > after]
    if subscription_id is not None:
        conditions.append(columns.subscription_id == subscription_id)
    statement = _statement().where(*conditions).order_by(columns.adjustment_id).limit(limit)
    return [_adjustment(row) for row in transaction.execute(statement)]


def adjustments_of_total(transaction: Transaction, key: TotalKey) -> list[Adjustment]:
    """Return everything that moved the amount of a price and period after its invoice, oldest first."""
    columns = adjustment.c
    statement = (
        _statement()
        .where(
            columns.subscription_id == key.subscription_id,
            columns.price_id == key.price_id,
            columns.period_start == key.period_start,
        )
        .order_by(columns.adjustment_id)
    )
    return [_adjustment(row) for row in transaction.execute(statement)]


def read_bills(transaction: Transaction, keys: Collection[TotalKey]) -> dict[TotalKey, PriceBill]:
    """Return what totals came to and was billed; an empty bill where nothing was. The account's lock covers them."""
    columns = price_bill.c
    identity = tuple_(columns.subscription_id, columns.price_id, columns.period_start)
    bills = dict.fromkeys(keys, PriceBill())
    for row in transaction.execute(select(price_bill).where(identity.in_([tuple(key) for key in keys]))):
        key = TotalKey(row.subscription_id, row.price_id, row.period_start)
        bills[key] = PriceBill(owed=row.owed, billed=row.billed, rounding=row.rounding)
    return bills


def write_bills(transaction: Transaction, bills: Mapping[TotalKey, PriceBill]) -> None:
    """Insert or replace bills."""
    upsert(
        transaction,
        price_bill,
        [
            key._asdict() | {"owed": bill.owed, "billed": bill.billed, "rounding": bill.rounding}
            for key, bill in bills.items()
        ],
    )


def _statement() -> Select[Any]:
    return select(adjustment, subscription.c.company_id, subscription.c.currency).join(
        subscription, subscription.c.subscription_id == adjustment.c.subscription_id
    )


def _adjustment(row: Row[Any]) -> Adjustment:
    return Adjustment(
        adjustment_id=row.adjustment_id,
        key=TotalKey(row.subscription_id, row.price_id, row.period_start),
        company_id=row.company_id,
        currency=row.currency,
        source=AdjustmentSource(row.source),
        source_id=row.source_id,
        quantity=row.quantity,
        amount=row.amount,
        created_at=row.created_at,
        billed_in=row.billed_in,
    )
