"""Events that count, and those that were corrected, found by company and time."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, ColumnElement, Select, or_, select, type_coerce

from faregate.storage.database import Transaction
from faregate.storage.tables import admitted_event, correction, event_log


class FoundEvent(NamedTuple):
    """An event at its place in the log, with its company as it was found; `counts` is false for a corrected one."""

    position: int
    company_id: str | None
    occurred_at_us: int
    body: bytes
    counts: bool


def find_events(
    transaction: Transaction,
    application_id: str,
    *,
    company_id: str | None,
    after: tuple[int, int],
    to_at: datetime | None,
    limit: int,
) -> list[FoundEvent]:
    """Return events by time and place, from the first one after the key (microseconds, position)."""
    found = []
    for position, columns, counts in (
        (admitted_event.c.position, admitted_event.c, True),
        (correction.c.event_position, correction.c, False),
    ):
        at = type_coerce(columns.occurred_at, BigInteger)
        conditions: list[ColumnElement[bool]] = [
            columns.application_id == application_id,
            at >= after[0],
            or_(at > after[0], position > after[1]),
        ]
        if company_id is not None:
            conditions.append(columns.company_id == company_id)
        if to_at is not None:
            conditions.append(columns.occurred_at < to_at)
        if not counts:
            conditions.append(correction.c.applied_at.is_not(None))
        rows = transaction.execute(_statement(position, columns, at).where(*conditions).limit(limit))
        found += [FoundEvent(row[0], row[1], row[2], row[3], counts) for row in rows]
    return sorted(found, key=lambda event: (event.occurred_at_us, event.position))[:limit]


def _statement(position: Column[int], columns: Any, at: ColumnElement[int]) -> Select[Any]:  # noqa: ANN401 - a table's
    return (
        select(position, columns.company_id, at, event_log.c.body)
        .join(event_log, event_log.c.position == position)
        .order_by(at, position)
    )
