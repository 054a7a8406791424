"""What is not settled yet: windows that the provider has not been told of, and events that wait to be applied."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from faregate.storage.database import Transaction
from faregate.storage.events import applied_position, log_head
from faregate.storage.tables import usage_window


def count_unreported_windows(transaction: Transaction, subscription_id: str, period_start: datetime) -> int:
    """Return how many windows of the period, or of earlier ones, changed since the provider was told of them."""
    columns = usage_window.c
    statement = select(func.count()).where(
        columns.dirty, columns.subscription_id == subscription_id, columns.period_start <= period_start
    )
    found: int = transaction.execute(statement).scalar_one()
    return found


def count_unapplied_events(transaction: Transaction) -> int:
    """Return how many accepted events wait to be applied, of all applications."""
    return log_head(transaction) - applied_position(transaction)
