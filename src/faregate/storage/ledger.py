"""Accounts, period totals and immutable ledger entries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Row, insert, select, tuple_, update

from faregate.base.errors import NotFound
from faregate.base.periods import Period
from faregate.storage.database import Transaction
from faregate.storage.tables import account, ledger_entry, price_total
from faregate.storage.upsert import upsert


class EntryKind(StrEnum):
    """What moved credit. A sign belongs to each: grant and invoiced add, debit takes, rounding does either."""

    GRANT = "grant"
    DEBIT = "debit"
    ROUNDING = "rounding"
    INVOICED = "invoiced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A subscription's credit in ledger units: `available` is what leases may still reserve."""

    subscription_id: str
    application_id: str
    balance: int
    reserved: int
    exhausted: bool

    @property
    def available(self) -> int:
        """Return the balance less what outstanding units can cost."""
        return self.balance - self.reserved


class TotalKey(NamedTuple):
    """One price of one account in the period that begins at `period_start`."""

    subscription_id: str
    price_id: str
    period_start: datetime


@dataclass(slots=True, kw_only=True)
class PriceTotal:
    """Settled quantity, units out in leases, and what of it is debited and reserved, in ledger units."""

    key: TotalKey
    period_end: datetime
    settled: Decimal
    outstanding: int
    debited: int
    reserved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEntry:
    """An entry to post. `caller_id` makes it repeatable within the account; `amount` in ledger units, positive adds."""

    application_id: str
    subscription_id: str
    kind: EntryKind
    amount: int
    caller_id: str
    description: str
    occurred_at: datetime
    price_id: str | None = None
    period_start: datetime | None = None
    quantity: Decimal | None = None


def insert_account(transaction: Transaction, application_id: str, subscription_id: str) -> None:
    """Open an account with nothing in it."""
    transaction.execute(
        insert(account).values(
            subscription_id=subscription_id, application_id=application_id, balance=0, reserved=0, exhausted=False
        )
    )


def lock_accounts(transaction: Transaction, subscription_ids: Collection[str]) -> dict[str, Account]:
    """Return accounts by subscription, locked in id order where the database has row locks."""
    statement = (
        select(account)
        .where(account.c.subscription_id.in_(subscription_ids))
        .order_by(account.c.subscription_id)
        .with_for_update()
    )
    return {row.subscription_id: _account(row) for row in transaction.execute(statement)}


def read_account(transaction: Transaction, subscription_id: str) -> Account:
    """Return one account as it is, without a lock; `NotFound` if the subscription has none."""
    row = transaction.execute(select(account).where(account.c.subscription_id == subscription_id)).first()
    if row is None:
        raise NotFound("subscription", subscription_id)
    return _account(row)


def change_reserved(transaction: Transaction, subscription_id: str, difference: int) -> None:
    """Add to what outstanding units can cost."""
    if difference:
        transaction.execute(
            update(account)
            .where(account.c.subscription_id == subscription_id)
            .values(reserved=account.c.reserved + difference)
        )


def set_exhausted(transaction: Transaction, subscription_id: str, *, exhausted: bool) -> None:
    """Keep whether any further unit is affordable."""
    transaction.execute(update(account).where(account.c.subscription_id == subscription_id).values(exhausted=exhausted))


def post_entry(transaction: Transaction, entry: NewEntry) -> int | None:
    """Write an entry and move the balance by it; return its id, or None where `caller_id` was posted before."""
    posted = transaction.execute(
        select(ledger_entry.c.entry_id).where(
            ledger_entry.c.subscription_id == entry.subscription_id, ledger_entry.c.caller_id == entry.caller_id
        )
    ).scalar()
    if posted is not None:
        return None
    result = transaction.execute(
        insert(ledger_entry)
        .values(
            application_id=entry.application_id,
            subscription_id=entry.subscription_id,
            kind=entry.kind.value,
            amount=entry.amount,
            caller_id=entry.caller_id,
            price_id=entry.price_id,
            period_start=entry.period_start,
            quantity=entry.quantity,
            description=entry.description,
            occurred_at=entry.occurred_at,
        )
        .returning(ledger_entry.c.entry_id)
    )
    transaction.execute(
        update(account)
        .where(account.c.subscription_id == entry.subscription_id)
        .values(balance=account.c.balance + entry.amount)
    )
    entry_id: int = result.scalar_one()
    return entry_id


def read_totals(transaction: Transaction, keys: Collection[TotalKey]) -> dict[TotalKey, PriceTotal]:
    """Return those of the totals that exist. The account's lock covers them."""
    columns = price_total.c
    wanted = [(key.subscription_id, key.price_id, key.period_start) for key in keys]
    identity = tuple_(columns.subscription_id, columns.price_id, columns.period_start)
    found = {}
    for row in transaction.execute(select(price_total).where(identity.in_(wanted))):
        key = TotalKey(row.subscription_id, row.price_id, row.period_start)
        found[key] = PriceTotal(
            key=key,
            period_end=row.period_end,
            settled=row.settled,
            outstanding=row.outstanding,
            debited=row.debited,
            reserved=row.reserved,
        )
    return found


def empty_total(subscription_id: str, price_id: str, period: Period) -> PriceTotal:
    """Return the total of a period in which nothing has been used."""
    return PriceTotal(
        key=TotalKey(subscription_id, price_id, period.start),
        period_end=period.end,
        settled=Decimal(0),
        outstanding=0,
        debited=0,
        reserved=0,
    )


def write_totals(transaction: Transaction, totals: Collection[PriceTotal]) -> None:
    """Insert or replace totals."""
    upsert(
        transaction,
        price_total,
        [
            {
                "subscription_id": total.key.subscription_id,
                "price_id": total.key.price_id,
                "period_start": total.key.period_start,
                "period_end": total.period_end,
                "settled": total.settled,
                "outstanding": total.outstanding,
                "debited": total.debited,
                "reserved": total.reserved,
            }
            for total in totals
        ],
    )


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(
        subscription_id=row.subscription_id,
        application_id=row.application_id,
        balance=row.balance,
        reserved=row.reserved,
        exhausted=row.exhausted,
    )
