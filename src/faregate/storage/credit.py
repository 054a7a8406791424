"""Grants as they were given."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Row, insert, select

from faregate.storage.database import Transaction
from faregate.storage.tables import grant


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """Credit given to a subscription, in ledger units; `caller_id` is unique within it."""

    grant_id: str
    application_id: str
    subscription_id: str
    amount: int
    kind: str
    description: str
    caller_id: str
    created_at: datetime


def add_grant(transaction: Transaction, row: GrantRow) -> None:
    """Write a grant."""
    transaction.execute(insert(grant).values(**asdict(row)))


def find_grant(transaction: Transaction, subscription_id: str, caller_id: str) -> GrantRow | None:
    """Return the grant that this caller id gave, if it did."""
    statement = select(grant).where(grant.c.subscription_id == subscription_id, grant.c.caller_id == caller_id)
    row = transaction.execute(statement).first()
    return None if row is None else _grant(row)


def list_grants(transaction: Transaction, subscription_id: str) -> list[GrantRow]:
    """Return a subscription's grants, oldest first."""
    statement = select(grant).where(grant.c.subscription_id == subscription_id).order_by(grant.c.grant_id)
    return [_grant(row) for row in transaction.execute(statement)]


def _grant(row: Row[tuple[object, ...]]) -> GrantRow:
    return GrantRow(**row._asdict())
