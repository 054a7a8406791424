"""What the billing provider must be told: written with its cause, delivered later, once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert

from faregate.storage.database import Transaction
from faregate.storage.tables import outbox


def add_to_outbox(
    transaction: Transaction,
    *,
    application_id: str,
    kind: str,
    key: str,
    subscription_id: str,
    payload: str,
    now: datetime,
) -> None:
    """Write one message in the transaction of its cause. `key` is the provider's idempotency key."""
    transaction.execute(
        insert(outbox).values(
            application_id=application_id,
            kind=kind,
            key=key,
            subscription_id=subscription_id,
            payload=payload,
            created_at=now,
        )
    )
