"""Kept reconciliations: one JSON document a run."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select

from faregate.storage.database import Transaction
from faregate.storage.tables import reconciliation


def keep_reconciliation(
    transaction: Transaction, application_id: str, *, reconciliation_id: str, checked_at: datetime, document: str
) -> None:
    """Keep a run."""
    transaction.execute(
        insert(reconciliation).values(
            reconciliation_id=reconciliation_id,
            application_id=application_id,
            checked_at=checked_at,
            document=document,
        )
    )


def last_reconciliation(transaction: Transaction, application_id: str) -> str | None:
    """Return the document of the last run."""
    statement = (
        select(reconciliation.c.document)
        .where(reconciliation.c.application_id == application_id)
        .order_by(reconciliation.c.reconciliation_id.desc())
        .limit(1)
    )
    return transaction.execute(statement).scalar()
