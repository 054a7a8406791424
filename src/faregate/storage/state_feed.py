"""The change feed: which entities a gateway must hear of, in commit order."""

from __future__ import annotations

from typing import Literal

from sqlalchemy import func, insert, select

from faregate.storage.database import Transaction
from faregate.storage.tables import state_change

Kind = Literal["route", "key", "account", "meter", "rule", "membership", "clock"]


def membership_id(application_id: str, company_id: str) -> str:
    """Return the id under which a company's memberships travel."""
    return f"{application_id}/{company_id}"


def record_change(transaction: Transaction, kind: Kind, entity_id: str) -> None:
    """Note, in the transaction of the change itself, that gateways must hear of the entity."""
    transaction.execute(insert(state_change).values(kind=kind, entity_id=entity_id))


def latest_version(transaction: Transaction, *kinds: Kind) -> int:
    """Return the newest version, of these kinds or of all; 0 where nothing has changed yet."""
    statement = select(func.max(state_change.c.version))
    if kinds:
        statement = statement.where(state_change.c.kind.in_(kinds))
    return transaction.execute(statement).scalar() or 0
