"""Reports of usage among the messages of the outbox: listed, counted, and sent again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select, update

from faregate.domain.billing.provider_usage import UsageFailure
from faregate.storage.database import Transaction
from faregate.storage.outbox import IS_USAGE, UNDELIVERED, WAITING, OutboxRow, outbox_rows
from faregate.storage.tables import outbox

_HAS_FAILED = or_(outbox.c.attempts > 0, outbox.c.failed_at.is_not(None))
_RESENDABLE = outbox.c.failure.in_([UsageFailure.REFUSED.value, UsageFailure.LOST.value])


def list_reports(
    transaction: Transaction,
    application_id: str,
    *,
    status: str | None,
    subscription_id: str | None,
    after: int,
    limit: int,
) -> list[OutboxRow]:
    """Return reports in the order they were written; `status`: `waiting`, `sent`, or one of `UsageFailure`."""
    conditions = [outbox.c.application_id == application_id, IS_USAGE, outbox.c.outbox_id > after]
    if status is not None:
        conditions.append(_has_status(status))
    if subscription_id is not None:
        conditions.append(outbox.c.subscription_id == subscription_id)
    return outbox_rows(transaction, *conditions, limit=limit)


def reports_between(
    transaction: Transaction, application_id: str, *, from_at: datetime, to_at: datetime
) -> list[OutboxRow]:
    """Return the reports of usage in [from_at, to_at), in the order they were written."""
    return outbox_rows(
        transaction,
        outbox.c.application_id == application_id,
        IS_USAGE,
        outbox.c.usage_at >= from_at,
        outbox.c.usage_at < to_at,
    )


def find_report(transaction: Transaction, application_id: str, outbox_id: int) -> OutboxRow | None:
    """Return a report by the id of its message."""
    found = outbox_rows(
        transaction, outbox.c.application_id == application_id, outbox.c.outbox_id == outbox_id, IS_USAGE
    )
    return next(iter(found), None)


def reports_of_keys(transaction: Transaction, keys: Collection[str]) -> list[OutboxRow]:
    """Return the reports with these keys."""
    return outbox_rows(transaction, outbox.c.key.in_(keys), IS_USAGE)


def count_reports(transaction: Transaction) -> dict[str, int]:
    """Return how many reports the provider lacks, of all applications: by how they failed, else `waiting`."""
    status = func.coalesce(outbox.c.failure, "waiting")
    # Counted, not asked for: SQLite would take the index of all usage there ever was, and not that of what waits.
    reports = func.count(outbox.c.usage_at)
    statement = select(status, reports).where(UNDELIVERED).group_by(status).having(reports > 0)
    return {row[0]: row[1] for row in transaction.execute(statement)}


def send_again(transaction: Transaction, application_id: str, *, outbox_id: int | None = None) -> int:
    """Let one report, or all, go out again now: those that failed for good under a new identifier; return how many.

    What waits in the same subscriptions goes at once too.
    """
    which = _HAS_FAILED if outbox_id is None else outbox.c.outbox_id == outbox_id
    resendable = or_(outbox.c.failed_at.is_(None), _RESENDABLE)
    of = (outbox.c.application_id == application_id, IS_USAGE, UNDELIVERED, resendable, which)
    found = transaction.execute(select(outbox.c.outbox_id, outbox.c.subscription_id).where(*of)).all()
    if not found:
        return 0
    transaction.execute(
        update(outbox)
        .where(*of)
        .values(
            resends=case((outbox.c.failed_at.is_not(None), outbox.c.resends + 1), else_=outbox.c.resends),
            attempts=case((outbox.c.failed_at.is_not(None), 0), else_=outbox.c.attempts),
            failed_at=None,
            failure=None,
            retry_at=None,
        )
    )
    transaction.execute(
        update(outbox)
        .where(UNDELIVERED, outbox.c.subscription_id.in_({row.subscription_id for row in found}))
        .values(retry_at=None)
    )
    return len(found)


def _has_status(status: str) -> ColumnElement[bool]:
    match status:
        case "waiting":
            return WAITING
        case "sent":
            return outbox.c.delivered_at.is_not(None)
        case _:
            return and_(UNDELIVERED, outbox.c.failure == status)
