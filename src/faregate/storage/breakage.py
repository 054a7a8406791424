"""What credit came to nothing, and what of paid credit is still to be delivered: sums for accounting."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select

from faregate.domain.ledger.burning import GrantKind
from faregate.storage.database import Transaction
from faregate.storage.ledger import EntryKind
from faregate.storage.tables import grant, grant_movement, ledger_entry, subscription


class EndedCredit(NamedTuple):
    """Credit of a kind that expired or was voided, in ledger units of a currency."""

    currency: str
    ended_as: EntryKind
    kind: GrantKind
    amount: int


class UnburntCredit(NamedTuple):
    """Credit of a kind that was left, in ledger units of a currency."""

    currency: str
    kind: GrantKind
    amount: int


def sum_ended_credit(
    transaction: Transaction, application_id: str, *, from_at: datetime, to_at: datetime
) -> list[EndedCredit]:
    """Return what expired or was voided in [from_at, to_at), by currency, way and kind."""
    entry, moved = ledger_entry.c, grant_movement.c
    key = (subscription.c.currency, entry.kind, grant.c.kind)
    statement = (
        select(*key, func.sum(moved.amount))
        .join(grant_movement, moved.entry_id == entry.entry_id)
        .join(grant, grant.c.grant_id == moved.grant_id)
        .join(subscription, subscription.c.subscription_id == entry.subscription_id)
        .where(
            entry.application_id == application_id,
            entry.occurred_at >= from_at,
            entry.occurred_at < to_at,
            entry.kind != EntryKind.DEBIT.value,
            entry.kind.in_((EntryKind.EXPIRE.value, EntryKind.VOID.value)),
            ~moved.is_burn,
        )
        .group_by(*key)
        .order_by(*key)
    )
    return [
        EndedCredit(currency=code, ended_as=EntryKind(way), kind=GrantKind(kind), amount=-int(amount))
        for code, way, kind, amount in transaction.execute(statement)
    ]


def sum_unburnt_credit(transaction: Transaction, application_id: str, *, at: datetime) -> list[UnburntCredit]:
    """Return what was left of grants at an instant, by currency and kind. Reads every movement."""
    moved = grant_movement.c
    key = (subscription.c.currency, grant.c.kind)
    statement = (
        select(*key, func.sum(moved.amount))
        .select_from(grant)
        .join(grant_movement, moved.grant_id == grant.c.grant_id)
        .join(ledger_entry, ledger_entry.c.entry_id == moved.entry_id)
        .join(subscription, subscription.c.subscription_id == grant.c.subscription_id)
        .where(grant.c.application_id == application_id, ledger_entry.c.occurred_at <= at)
        .group_by(*key)
        .order_by(*key)
    )
    return [
        UnburntCredit(currency=code, kind=GrantKind(kind), amount=int(amount))
        for code, kind, amount in transaction.execute(statement)
    ]
