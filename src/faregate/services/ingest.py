"""Accept events: append them to the log. The caller acknowledges after the commit, and not before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from faregate.storage.database import Transaction
from faregate.storage.events import append_to_log


def append_events(transaction: Transaction, *, application_id: str, bodies: Sequence[bytes], now: datetime) -> None:
    """Append raw events in order. Nothing is judged here: what cannot be metered is set aside when it is applied."""
    append_to_log(transaction, application_id, bodies, ingested_at=now)
