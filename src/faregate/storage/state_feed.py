"""The change feed: which entities a gateway must hear of, in commit order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, func, insert, select

from faregate.storage.database import Transaction
from faregate.storage.tables import state_change

Kind = Literal["route", "key", "account", "meter", "rule", "membership", "clock", "limit", "limit_block"]


def membership_id(application_id: str, company_id: str) -> str:
    """Return the id under which a company's memberships travel."""
    return f"{application_id}/{company_id}"


def limit_block_id(limit_id: str, subject_id: str) -> str:
    """Return the id under which it travels that a subject has used up a limit."""
    return f"{limit_id}/{subject_id}"


def record_change(transaction: Transaction, kind: Kind, entity_id: str) -> None:
    """Note, in the transaction of the change itself, that gateways must hear of the entity."""
    transaction.execute(insert(state_change).values(kind=kind, entity_id=entity_id))


def latest_version(transaction: Transaction, *kinds: Kind) -> int:
    """Return the newest version, of these kinds or of all; 0 where nothing has changed yet."""
    statement = select(func.max(state_change.c.version))
    if kinds:
        statement = statement.where(state_change.c.kind.in_(kinds))
    return transaction.execute(statement).scalar() or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An entity that changed; of several changes the newest version."""

    kind: Kind
    entity_id: str
    version: int


def changes_after(transaction: Transaction, version: int, most: int) -> list[Change]:
    """Return the next changes in commit order, each entity once."""
    statement = (
        select(state_change).where(state_change.c.version > version).order_by(state_change.c.version).limit(most)
    )
    newest: dict[tuple[Kind, str], int] = {}
    for row in transaction.execute(statement):
        newest.pop((row.kind, row.entity_id), None)
        newest[row.kind, row.entity_id] = row.version
    return [Change(kind=kind, entity_id=entity_id, version=newer) for (kind, entity_id), newer in newest.items()]


def has_changes_since(transaction: Transaction, version: int) -> bool:
    """Return whether all changes after `version` are still kept, and `version` has been reached at all."""
    oldest = transaction.execute(select(func.min(state_change.c.version))).scalar()
    return oldest is not None and oldest - 1 <= version <= latest_version(transaction)


def prune_changes(transaction: Transaction, keep: int) -> int:
    """Forget all but about the newest `keep` changes; return how many were forgotten."""
    oldest_kept = latest_version(transaction) - keep
    return transaction.execute(delete(state_change).where(state_change.c.version <= oldest_kept)).rowcount
