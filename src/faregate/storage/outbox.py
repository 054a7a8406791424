"""What the billing provider must be told: written with its cause, delivered later, in order within a subscription."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update

from faregate.storage.database import Transaction
from faregate.storage.tables import outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message that waits: `payload` is JSON, `attempts` how often delivery failed."""

    outbox_id: int
    application_id: str
    kind: str
    key: str
    subscription_id: str
    payload: str
    attempts: int


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


def ready_subscriptions(transaction: Transaction, *, now: datetime, limit: int) -> list[str]:
    """Return subscriptions with waiting messages, longest waiting first, but those that a failure holds back."""
    waiting = outbox.c.delivered_at.is_(None)
    held_back = select(outbox.c.subscription_id).where(waiting, outbox.c.retry_at > now)
    statement = (
        select(outbox.c.subscription_id)
        .where(waiting, outbox.c.subscription_id.not_in(held_back))
        .group_by(outbox.c.subscription_id)
        .order_by(func.min(outbox.c.outbox_id))
        .limit(limit)
    )
    return list(transaction.execute(statement).scalars())


def waiting_rows(transaction: Transaction, subscription_id: str, *, limit: int) -> list[OutboxRow]:
    """Return a subscription's waiting messages in the order they were written."""
    statement = (
        select(outbox)
        .where(outbox.c.delivered_at.is_(None), outbox.c.subscription_id == subscription_id)
        .order_by(outbox.c.outbox_id)
        .limit(limit)
    )
    return [
        OutboxRow(
            outbox_id=row.outbox_id,
            application_id=row.application_id,
            kind=row.kind,
            key=row.key,
            subscription_id=row.subscription_id,
            payload=row.payload,
            attempts=row.attempts,
        )
        for row in transaction.execute(statement)
    ]


def waiting_payloads(transaction: Transaction, subscription_id: str, kind: str) -> list[str]:
    """Return a subscription's waiting messages of one kind in the order they were written."""
    statement = (
        select(outbox.c.payload)
        .where(outbox.c.delivered_at.is_(None), outbox.c.subscription_id == subscription_id, outbox.c.kind == kind)
        .order_by(outbox.c.outbox_id)
    )
    return list(transaction.execute(statement).scalars())


def mark_delivered(transaction: Transaction, outbox_ids: Collection[int], now: datetime) -> None:
    """Record that the provider has the messages."""
    if outbox_ids:
        transaction.execute(
            update(outbox)
            .where(outbox.c.outbox_id.in_(outbox_ids))
            .values(delivered_at=now, last_error=None, retry_at=None)
        )


def mark_failed(transaction: Transaction, outbox_id: int, *, error: str, retry_at: datetime) -> None:
    """Count a failed delivery; the message, and those behind it, wait until `retry_at`."""
    transaction.execute(
        update(outbox)
        .where(outbox.c.outbox_id == outbox_id)
        .values(attempts=outbox.c.attempts + 1, last_error=error, retry_at=retry_at)
    )
