"""What projections are rebuilt from, for some accounts at a time: entries, movements, charges, open leases."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from sqlalchemy import case, func, select

from faregate.base.money import EXACT
from faregate.storage.database import Transaction
from faregate.storage.ledger import Account, EntryKind, PriceTotal, TotalKey, account_from_row, total_from_row
from faregate.storage.tables import (
    account,
    charge,
    grant,
    grant_movement,
    lease,
    ledger_entry,
    price,
    price_total,
    rerating,
)

_CHARGES_AT_ONCE: Final = 5_000


class MovementSum(NamedTuple):
    """What entries moved of a grant, in ledger units: what is left of it, and what usage took, net."""

    remaining: int
    burnt: int


@dataclass(slots=True)
class ChargeSum:
    """What events were charged of a price, in ledger units, and the quantity that they moved its totals by."""

    amount: int = 0
    quantity: Decimal = field(default_factory=Decimal)


def accounts_after(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[Account]:
    """Return accounts in id order, from the first one after `after`."""
    statement = (
        select(account)
        .where(account.c.application_id == application_id, account.c.subscription_id > after)
        .order_by(account.c.subscription_id)
        .limit(limit)
    )
    return [account_from_row(row) for row in transaction.execute(statement)]


def totals_of(transaction: Transaction, subscription_ids: Collection[str]) -> list[PriceTotal]:
    """Return all totals of accounts."""
    columns = price_total.c
    statement = (
        select(price_total)
        .where(columns.subscription_id.in_(subscription_ids))
        .order_by(columns.subscription_id, columns.price_id, columns.period_start)
    )
    return [total_from_row(row) for row in transaction.execute(statement)]


def sum_entries(transaction: Transaction, subscription_ids: Collection[str]) -> dict[str, int]:
    """Return what the entries of each account come to, in ledger units."""
    columns = ledger_entry.c
    statement = (
        select(columns.subscription_id, func.sum(columns.amount))
        .where(columns.subscription_id.in_(subscription_ids))
        .group_by(columns.subscription_id)
    )
    return {subscription_id: int(amount) for subscription_id, amount in transaction.execute(statement)}


def sum_movements(transaction: Transaction, subscription_ids: Collection[str]) -> dict[str, MovementSum]:
    """Return what entries moved of each grant of the accounts."""
    columns = grant_movement.c
    burnt = case((columns.is_burn, -columns.amount), else_=0)
    statement = (
        select(columns.grant_id, func.sum(columns.amount), func.sum(burnt))
        .where(columns.grant_id.in_(select(grant.c.grant_id).where(grant.c.subscription_id.in_(subscription_ids))))
        .group_by(columns.grant_id)
    )
    return {
        grant_id: MovementSum(remaining=int(moved), burnt=int(taken))
        for grant_id, moved, taken in transaction.execute(statement)
    }


def sum_price_entries(
    transaction: Transaction, subscription_ids: Collection[str], kind: EntryKind
) -> dict[TotalKey, int]:
    """Return what entries of a kind took for each total, in ledger units."""
    columns = ledger_entry.c
    key = (columns.subscription_id, columns.price_id, columns.period_start)
    statement = (
        select(*key, func.sum(columns.amount))
        .where(columns.subscription_id.in_(subscription_ids), columns.kind == kind.value)
        .group_by(*key)
    )
    return {
        TotalKey(of, price_id, start): -int(amount) for of, price_id, start, amount in transaction.execute(statement)
    }


def sum_charges(transaction: Transaction, subscription_ids: Collection[str]) -> dict[tuple[str, str], ChargeSum]:
    """Return what events were charged, by subscription and price. Reads every charge, a part at a time."""
    columns = charge.c
    statement = (
        select(columns.subscription_id, columns.price_id, columns.quantity, columns.amount)
        .where(columns.subscription_id.in_(subscription_ids))
        .execution_options(yield_per=_CHARGES_AT_ONCE)
    )
    sums: dict[tuple[str, str], ChargeSum] = {}
    for subscription_id, price_id, quantity, amount in transaction.execute(statement):
        found = sums.setdefault((subscription_id, price_id), ChargeSum())
        found.amount += amount
        found.quantity = EXACT.add(found.quantity, quantity)
    return sums


def sum_units_out(transaction: Transaction, subscription_ids: Collection[str]) -> dict[TotalKey, int]:
    """Return the units that are out in open leases, by total."""
    columns = lease.c
    key = (columns.subscription_id, columns.price_id, columns.period_start)
    units = func.sum(columns.granted_units - columns.drawn_units - columns.returned_units)
    statement = select(*key, units).where(columns.subscription_id.in_(subscription_ids), columns.is_open).group_by(*key)
    return {TotalKey(of, price_id, start): int(out) for of, price_id, start, out in transaction.execute(statement)}


def prices_put_right(transaction: Transaction, application_id: str) -> set[str]:
    """Return the versions of prices whose usage was rated, or counted, again: their charges stay what they were."""
    series = select(rerating.c.series_id).where(
        rerating.c.application_id == application_id, rerating.c.started_at.is_not(None)
    )
    return set(transaction.execute(select(price.c.price_id).where(price.c.series_id.in_(series))).scalars())


def sum_entries_until(transaction: Transaction, subscription_id: str, at: datetime) -> int:
    """Return what an account's entries up to an instant come to, in ledger units."""
    columns = ledger_entry.c
    statement = select(func.coalesce(func.sum(columns.amount), 0)).where(
        columns.subscription_id == subscription_id, columns.occurred_at <= at
    )
    return int(transaction.execute(statement).scalar_one())


def sum_movements_until(transaction: Transaction, subscription_id: str, at: datetime) -> dict[str, int]:
    """Return what was left of each of an account's grants at an instant, in ledger units."""
    columns = grant_movement.c
    statement = (
        select(columns.grant_id, func.sum(columns.amount))
        .join(ledger_entry, ledger_entry.c.entry_id == columns.entry_id)
        .where(
            columns.grant_id.in_(select(grant.c.grant_id).where(grant.c.subscription_id == subscription_id)),
            ledger_entry.c.occurred_at <= at,
        )
        .group_by(columns.grant_id)
    )
    return {grant_id: int(left) for grant_id, left in transaction.execute(statement)}
