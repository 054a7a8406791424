"""Counts for the first page."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, func, select

from faregate.storage.database import Transaction
from faregate.storage.tables import account, company, outbox, set_aside


def count_companies(transaction: Transaction, application_id: str) -> int:
    """Return how many companies there are."""
    return _count(transaction, company, company.c.application_id == application_id)


def count_exhausted_accounts(transaction: Transaction, application_id: str) -> int:
    """Return how many prepaid subscriptions can afford nothing more."""
    return _count(transaction, account, account.c.application_id == application_id, account.c.exhausted)


def count_set_aside(transaction: Transaction, application_id: str) -> int:
    """Return how many events were kept and not metered."""
    return _count(transaction, set_aside, set_aside.c.application_id == application_id)


def count_failed_messages(transaction: Transaction, application_id: str) -> int:
    """Return how many messages to the billing provider wait after a failure."""
    return _count(
        transaction,
        outbox,
        outbox.c.application_id == application_id,
        outbox.c.delivered_at.is_(None),
        outbox.c.attempts > 0,
    )


def _count(transaction: Transaction, table: Table, *conditions: ColumnElement[bool]) -> int:
    statement = select(func.count()).select_from(table).where(*conditions)
    counted: int = transaction.execute(statement).scalar_one()
    return counted
