"""What the billing provider must be told: written with its cause, delivered later.

Reports of usage are told apart from all other messages by `usage_at`, the instant that they are counted at. A report
that failed for good has `failed_at` and `failure`, and is not delivered until it is sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Row, and_, case, func, insert, or_, select, update

from faregate.domain.billing.provider_usage import UsageFailure
from faregate.storage.database import Transaction
from faregate.storage.tables import outbox, subscription
from faregate.storage.upsert import chunks

UNDELIVERED: Final = outbox.c.delivered_at.is_(None)
WAITING: Final = and_(UNDELIVERED, outbox.c.failed_at.is_(None))
IS_USAGE: Final = outbox.c.usage_at.is_not(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message: `payload` is JSON, `attempts` how often delivery failed, `resends` how often it was sent anew."""

    outbox_id: int
    application_id: str
    kind: str
    key: str
    subscription_id: str
    payload: str
    created_at: datetime
    delivered_at: datetime | None
    attempts: int
    last_error: str | None
    retry_at: datetime | None
    usage_at: datetime | None
    failed_at: datetime | None
    failure: UsageFailure | None
    resends: int

    @property
    def is_billed_as_item(self) -> bool:
        """Return whether the provider takes no such report: its period's invoice has it as an item."""
        return self.failure is not None and self.failure.is_billed_as_item


class Waiting(NamedTuple):
    """A subscription with messages to deliver, and whose it is; `company_id` is None where it is no more."""

    application_id: str
    subscription_id: str
    company_id: str | None


def add_to_outbox(
    transaction: Transaction,
    *,
    application_id: str,
    kind: str,
    key: str,
    subscription_id: str,
    payload: str,
    now: datetime,
    usage_at: datetime | None = None,
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
            usage_at=usage_at,
        )
    )


def ready_subscriptions(transaction: Transaction, *, now: datetime, limit: int) -> list[Waiting]:
    """Return subscriptions with waiting messages, longest waiting first.

    Those are left out of which both are held back by a failure or not there: their usage, and everything else.
    """
    columns = outbox.c
    held_usage = func.max(case((IS_USAGE, columns.retry_at)))
    held_others = func.max(case((~IS_USAGE, columns.retry_at)))
    has_usage = func.max(case((IS_USAGE, 1), else_=0)) == 1
    has_others = func.max(case((IS_USAGE, 0), else_=1)) == 1
    ready = (
        select(columns.application_id, columns.subscription_id, func.min(columns.outbox_id).label("first"))
        .where(WAITING)
        .group_by(columns.application_id, columns.subscription_id)
        .having(or_(and_(has_usage, _is_due(held_usage, now)), and_(has_others, _is_due(held_others, now))))
        .order_by(func.min(columns.outbox_id))
        .limit(limit)
        .subquery()
    )
    statement = (
        select(ready.c.application_id, ready.c.subscription_id, subscription.c.company_id)
        .outerjoin(subscription, subscription.c.subscription_id == ready.c.subscription_id)
        .order_by(ready.c.first)
    )
    return [Waiting(*row) for row in transaction.execute(statement)]


def _is_due(held: ColumnElement[datetime | None], now: datetime) -> ColumnElement[bool]:
    return or_(held.is_(None), held <= now)


def waiting_rows(transaction: Transaction, subscription_id: str, *, usage: bool, limit: int) -> list[OutboxRow]:
    """Return a subscription's waiting reports of usage, or all its other waiting messages, as they were written."""
    kind = IS_USAGE if usage else ~IS_USAGE
    return outbox_rows(transaction, WAITING, outbox.c.subscription_id == subscription_id, kind, limit=limit)


def undelivered_usage(transaction: Transaction, subscription_id: str, *, before: int) -> list[OutboxRow]:
    """Return the reports of a subscription that the provider lacks, failed ones included, written before a message."""
    return outbox_rows(
        transaction, UNDELIVERED, IS_USAGE, outbox.c.subscription_id == subscription_id, outbox.c.outbox_id < before
    )


def waiting_payloads(transaction: Transaction, subscription_id: str, kind: str) -> list[str]:
    """Return a subscription's waiting messages of one kind in the order they were written."""
    statement = (
        select(outbox.c.payload)
        .where(UNDELIVERED, outbox.c.subscription_id == subscription_id, outbox.c.kind == kind)
        .order_by(outbox.c.outbox_id)
    )
    return list(transaction.execute(statement).scalars())


def mark_delivered(transaction: Transaction, outbox_ids: Sequence[int], now: datetime) -> None:
    """Record that the provider has the messages."""
    for some in chunks(outbox_ids):
        transaction.execute(
            update(outbox)
            .where(outbox.c.outbox_id.in_(some))
            .values(delivered_at=now, last_error=None, retry_at=None, failed_at=None, failure=None)
        )


def mark_failed(transaction: Transaction, outbox_id: int, *, error: str, retry_at: datetime) -> None:
    """Count a failed delivery; the message, and those behind it, wait until `retry_at`."""
    transaction.execute(
        update(outbox)
        .where(outbox.c.outbox_id == outbox_id, UNDELIVERED)
        .values(attempts=outbox.c.attempts + 1, last_error=error, retry_at=retry_at)
    )


def mark_given_up(
    transaction: Transaction, outbox_id: int, *, failure: UsageFailure, error: str, now: datetime
) -> None:
    """Keep a report as failed for good: it is not tried again by itself."""
    transaction.execute(
        update(outbox)
        .where(outbox.c.outbox_id == outbox_id)
        .values(delivered_at=None, retry_at=None, failed_at=now, failure=failure.value, last_error=error)
    )


def outbox_rows(
    transaction: Transaction, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[OutboxRow]:
    """Return messages in the order they were written."""
    statement = select(outbox).where(*conditions).order_by(outbox.c.outbox_id).limit(limit)
    return [_row(row) for row in transaction.execute(statement)]


def _row(row: Row[tuple[object, ...]]) -> OutboxRow:
    return OutboxRow(
        outbox_id=row.outbox_id,
        application_id=row.application_id,
        kind=row.kind,
        key=row.key,
        subscription_id=row.subscription_id,
        payload=row.payload,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
        attempts=row.attempts,
        last_error=row.last_error,
        retry_at=row.retry_at,
        usage_at=row.usage_at,
        failed_at=row.failed_at,
        failure=None if row.failure is None else UsageFailure(row.failure),
        resends=row.resends,
    )
