"""Accounts, period totals and immutable ledger entries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Row, bindparam, func, insert, select, tuple_, update

from faregate.base.errors import NotFound
from faregate.base.periods import Period
from faregate.domain.pricing.percentage import EventsSoFar
from faregate.domain.pricing.rating import WHOLE, DimensionKey
from faregate.storage.database import Transaction
from faregate.storage.tables import account, ledger_entry, price_total
from faregate.storage.upsert import chunks, upsert

_INSERT_ENTRY: Final = insert(ledger_entry).returning(ledger_entry.c.entry_id)
_INSERT_ENTRIES: Final = insert(ledger_entry).returning(ledger_entry.c.entry_id, sort_by_parameter_order=True)
_WRITE_CREDIT: Final = update(account).where(account.c.subscription_id == bindparam("written"))


class EntryKind(StrEnum):
    """What moved credit. A sign belongs to each: grant, discount and invoiced add, debit, expire, void and refund take.

    Rounding does either, and so does `adjust`, a correction with a reason. `grant` is credit that began or recurred;
    `expire` and `void` are what was left of it as it ended. `discount` is what a coupon took off the period's invoice.

    `incident_credit` gives calls back, or takes that back.

    `closing`, which takes, is what a period owes beyond its usage: a flat fee, or what usage lacks of a minimum or a
    commitment.
    `rerating` is the difference that a corrected price or meter makes, either way.
    """

    GRANT = "grant"
    DEBIT = "debit"
    ROUNDING = "rounding"
    CLOSING = "closing"
    DISCOUNT = "discount"
    RERATING = "rerating"
    INVOICED = "invoiced"
    INCIDENT_CREDIT = "incident_credit"
    EXPIRE = "expire"
    VOID = "void"
    REFUND = "refund"
    ADJUST = "adjust"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A subscription's credit in ledger units: `available` is what leases may still reserve.

    `overdraft`: how far below zero it may go. `next_border_at`: when one of its grants begins, recurs or ends next; in
    the past where that is still to be done, or where units out in leases lean on a grant that has ended.
    """

    subscription_id: str
    application_id: str
    balance: int
    reserved: int
    exhausted: bool
    overdraft: int = 0
    next_border_at: datetime | None = None

    @property
    def available(self) -> int:
        """Return the balance and the overdraft less what outstanding units can cost."""
        return self.balance + self.overdraft - self.reserved

    def is_due(self, now: datetime) -> bool:
        """Return whether time has something to do to its grants."""
        return self.next_border_at is not None and self.next_border_at <= now


class TotalKey(NamedTuple):
    """One price of one account in the period that begins at `period_start`."""

    subscription_id: str
    price_id: str
    period_start: datetime


@dataclass(slots=True, kw_only=True)
class PriceTotal:
    """What is used and out in leases, and what of it is debited and reserved, in ledger units.

    `settled` is the quantity that was metered. `totals` is what is rated, by dimension: the same, but money for a
    percentage, whose `events` say how far its free allowance is used.
    """

    key: TotalKey
    period_end: datetime
    settled: Decimal
    totals: dict[DimensionKey, Decimal]
    events: dict[DimensionKey, EventsSoFar]
    outstanding: int
    debited: int
    reserved: int

    @property
    def is_used(self) -> bool:
        """Return whether anything is used: units, or what is rated of them."""
        return bool(self.settled) or any(self.totals.values())


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
    if not subscription_ids:
        return {}
    statement = (
        select(account)
        .where(account.c.subscription_id.in_(subscription_ids))
        .order_by(account.c.subscription_id)
        .with_for_update()
    )
    return {row.subscription_id: account_from_row(row) for row in transaction.execute(statement)}


def read_account(transaction: Transaction, subscription_id: str) -> Account:
    """Return one account as it is, without a lock; `NotFound` if the subscription has none."""
    row = transaction.execute(select(account).where(account.c.subscription_id == subscription_id)).first()
    if row is None:
        raise NotFound("subscription", subscription_id)
    return account_from_row(row)


def read_credit(transaction: Transaction, subscription_ids: Collection[str]) -> dict[str, tuple[int, int]]:
    """Return balance and what is reserved of it, by subscription, in ledger units; no lock."""
    columns = account.c
    found = {}
    for chunk in chunks(list(subscription_ids)):
        statement = select(columns.subscription_id, columns.balance, columns.reserved).where(
            columns.subscription_id.in_(chunk)
        )
        found.update({row[0]: (row[1], row[2]) for row in transaction.execute(statement)})
    return found


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


def posted_before(transaction: Transaction, entries: Sequence[NewEntry]) -> set[tuple[str, str]]:
    """Return those subscriptions and caller ids of the entries that were posted before."""
    columns = ledger_entry.c
    identity = tuple_(columns.subscription_id, columns.caller_id)
    posted: set[tuple[str, str]] = set()
    for chunk in chunks(entries):
        statement = select(columns.subscription_id, columns.caller_id).where(
            identity.in_([(entry.subscription_id, entry.caller_id) for entry in chunk])
        )
        posted.update((row.subscription_id, row.caller_id) for row in transaction.execute(statement))
    return posted


def insert_entries(transaction: Transaction, entries: Sequence[NewEntry]) -> list[int]:
    """Write entries; return their ids, in order. `services/posting.py` moves balances and grants with them."""
    if not entries:
        return []
    rows = [
        {
            "application_id": entry.application_id,
            "subscription_id": entry.subscription_id,
            "kind": entry.kind.value,
            "amount": entry.amount,
            "caller_id": entry.caller_id,
            "price_id": entry.price_id,
            "period_start": entry.period_start,
            "quantity": entry.quantity,
            "description": entry.description,
            "occurred_at": entry.occurred_at,
        }
        for entry in entries
    ]
    if len(rows) == 1:
        return [int(transaction.execute(_INSERT_ENTRY, rows[0]).scalar_one())]
    return [int(entry_id) for entry_id in transaction.execute(_INSERT_ENTRIES, rows).scalars()]


def set_overdraft(transaction: Transaction, subscription_id: str, overdraft: int) -> None:
    """Keep how far below zero an account may go, in ledger units."""
    transaction.execute(update(account).where(account.c.subscription_id == subscription_id).values(overdraft=overdraft))


def write_credit(transaction: Transaction, subscription_id: str, *, balance: int, border_at: datetime | None) -> None:
    """Keep an account's balance, and when one of its grants begins, recurs or ends next."""
    transaction.execute(_WRITE_CREDIT, {"written": subscription_id, "balance": balance, "next_border_at": border_at})


def credit_posted(transaction: Transaction, subscription_id: str) -> list[tuple[datetime, int]]:
    """Return when credit began, ended, was refunded or corrected, and by how much that moved the balance, in order."""
    columns = ledger_entry.c
    kinds = (EntryKind.GRANT, EntryKind.EXPIRE, EntryKind.VOID, EntryKind.REFUND, EntryKind.ADJUST)
    statement = (
        select(columns.occurred_at, columns.amount)
        .where(columns.subscription_id == subscription_id, columns.kind.in_(kinds))
        .order_by(columns.entry_id)
    )
    return [(row.occurred_at, row.amount) for row in transaction.execute(statement)]


def read_totals(transaction: Transaction, keys: Collection[TotalKey]) -> dict[TotalKey, PriceTotal]:
    """Return those of the totals that exist. The account's lock covers them."""
    columns = price_total.c
    identity = tuple_(columns.subscription_id, columns.price_id, columns.period_start)
    found = {}
    for chunk in chunks([tuple(key) for key in keys]):
        for row in transaction.execute(select(price_total).where(identity.in_(chunk))):
            total = total_from_row(row)
            found[total.key] = total
    return found


def rerated_of_totals(transaction: Transaction, key: TotalKey, price_ids: Collection[str]) -> int:
    """Return what re-ratings have debited more, in ledger units, on the totals of these prices in the key's period."""
    columns = ledger_entry.c
    statement = select(func.coalesce(func.sum(columns.amount), 0)).where(
        columns.subscription_id == key.subscription_id,
        columns.kind == EntryKind.RERATING,
        columns.price_id.in_(price_ids),
        columns.period_start == key.period_start,
    )
    return -int(transaction.execute(statement).scalar_one())


def empty_total(subscription_id: str, price_id: str, period: Period) -> PriceTotal:
    """Return the total of a period in which nothing has been used."""
    return PriceTotal(
        key=TotalKey(subscription_id, price_id, period.start),
        period_end=period.end,
        settled=Decimal(0),
        totals={},
        events={},
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
                "parts": _parts_text(total),
                "outstanding": total.outstanding,
                "debited": total.debited,
                "reserved": total.reserved,
            }
            for total in totals
        ],
    )


def total_from_row(row: Row[tuple[object, ...]]) -> PriceTotal:
    """Return a row of `price_total`."""
    parts = msgspec.json.decode(row.parts, type=list[_Part]) if row.parts else []
    totals = {part.key: part.total for part in parts} if row.parts else {WHOLE: row.settled} if row.settled else {}
    return PriceTotal(
        key=TotalKey(row.subscription_id, row.price_id, row.period_start),
        period_end=row.period_end,
        settled=row.settled,
        totals=totals,
        events={part.key: EventsSoFar(count=part.count, value=part.value) for part in parts if part.count},
        outstanding=row.outstanding,
        debited=row.debited,
        reserved=row.reserved,
    )


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dimension's total, and of a percentage the events that it comes from."""

    key: tuple[str, ...]
    total: Decimal
    count: int = 0
    value: Decimal = Decimal(0)


def _parts_text(total: PriceTotal) -> str:
    """Return totals by dimension as text; empty where the quantity says it all."""
    if not total.events and total.totals.keys() <= {WHOLE}:
        return ""
    parts = []
    for key, amount in sorted(total.totals.items()):
        so_far = total.events.get(key, EventsSoFar())
        parts.append(_Part(key=key, total=amount, count=so_far.count, value=so_far.value))
    return msgspec.json.encode(parts).decode()


def due_accounts(transaction: Transaction, application_id: str, *, now: datetime, limit: int) -> list[str]:
    """Return subscriptions of whose grants one begins, recurs or ends by now."""
    columns = account.c
    statement = (
        select(columns.subscription_id)
        .where(columns.application_id == application_id, columns.next_border_at <= now)
        .order_by(columns.next_border_at)
        .limit(limit)
    )
    return list(transaction.execute(statement).scalars())


def account_from_row(row: Row[tuple[object, ...]]) -> Account:
    """Return a row of `account`."""
    return Account(
        subscription_id=row.subscription_id,
        application_id=row.application_id,
        balance=row.balance,
        reserved=row.reserved,
        exhausted=row.exhausted,
        overdraft=row.overdraft,
        next_border_at=row.next_border_at,
    )
