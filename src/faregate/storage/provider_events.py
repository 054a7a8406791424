"""What the billing provider told of, each event once, and what came of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, and_, or_, select, update

from faregate.domain.billing.provider_events import EventSource, EventStatus, ProviderEvent
from faregate.storage.database import Transaction
from faregate.storage.tables import provider_cursor, provider_event
from faregate.storage.upsert import chunks, insert_new, upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """A kept event. `outcome`: what came of it; `retry_at` and `received_at` are on the wall clock."""

    event: ProviderEvent
    application_id: str
    source: EventSource
    received_at: datetime
    attempts: int
    retry_at: datetime | None
    worked_at: datetime | None
    failed_at: datetime | None
    outcome: str
    last_error: str | None

    @property
    def status(self) -> EventStatus:
        """Return where it stands."""
        if self.worked_at is not None:
            return EventStatus.DONE
        return EventStatus.WAITING if self.failed_at is None else EventStatus.FAILED


def keep_events(
    transaction: Transaction,
    application_id: str,
    events: Sequence[ProviderEvent],
    *,
    source: EventSource,
    received_at: datetime,
) -> int:
    """Keep events that are not kept yet; return how many were new."""
    known = _known_events(transaction, [event.event_id for event in events])
    rows = {event.event_id: event for event in events if event.event_id not in known}
    insert_new(
        transaction,
        provider_event,
        [
            {
                "event_id": event.event_id,
                "application_id": application_id,
                "kind": event.kind,
                "object_id": event.object_id,
                "is_live": event.is_live,
                "created_at": event.created_at,
                "source": source.value,
                "received_at": received_at,
                "attempts": 0,
                "outcome": "",
            }
            for event in rows.values()
        ],
    )
    return len(rows)


def waiting_events(transaction: Transaction, *, now: datetime, limit: int) -> list[EventRow]:
    """Return events that are to be worked on now, on the wall clock, oldest first."""
    columns = provider_event.c
    due = or_(columns.retry_at.is_(None), columns.retry_at <= now)
    return _events(transaction, _is(EventStatus.WAITING), due, oldest_first=True, limit=limit)


def list_event_rows(
    transaction: Transaction,
    application_id: str,
    *,
    status: EventStatus | None,
    before: tuple[datetime, str] | None,
    limit: int,
) -> list[EventRow]:
    """Return events, newest first, from the first one before the place `before`."""
    columns = provider_event.c
    conditions = [columns.application_id == application_id]
    if status is not None:
        conditions.append(_is(status))
    if before is not None:
        received_at, event_id = before
        conditions.append(
            or_(
                columns.received_at < received_at,
                and_(columns.received_at == received_at, columns.event_id < event_id),
            )
        )
    return _events(transaction, *conditions, oldest_first=False, limit=limit)


def find_event_row(transaction: Transaction, application_id: str, event_id: str) -> EventRow | None:
    """Return the event with the id."""
    columns = provider_event.c
    found = _events(
        transaction,
        columns.application_id == application_id,
        columns.event_id == event_id,
        oldest_first=True,
        limit=1,
    )
    return next(iter(found), None)


def mark_events_worked(transaction: Transaction, event_ids: Collection[str], *, at: datetime, outcome: str) -> None:
    """Record what came of events."""
    _update(transaction, event_ids, worked_at=at, failed_at=None, retry_at=None, outcome=outcome)


def mark_event_failed(
    transaction: Transaction,
    event_id: str,
    *,
    error: str,
    retry_at: datetime | None,
    failed_at: datetime | None,
) -> None:
    """Count an attempt that failed, and say when to try again, or that nobody will."""
    attempts = provider_event.c.attempts + 1
    _update(transaction, [event_id], attempts=attempts, last_error=error, retry_at=retry_at, failed_at=failed_at)


def mark_event_waiting(transaction: Transaction, event_id: str) -> None:
    """Have an event worked on as if it had just come."""
    _update(transaction, [event_id], attempts=0, worked_at=None, failed_at=None, retry_at=None, outcome="")


def polled_to(transaction: Transaction, application_id: str) -> datetime | None:
    """Return up to which time, the provider's, its list of events was read; None where it never was."""
    columns = provider_cursor.c
    return transaction.execute(select(columns.polled_to).where(columns.application_id == application_id)).scalar()


def move_polled_to(transaction: Transaction, application_id: str, at: datetime) -> None:
    """Keep up to which time the provider's list of events was read."""
    upsert(transaction, provider_cursor, [{"application_id": application_id, "polled_to": at}])


def _known_events(transaction: Transaction, event_ids: Sequence[str]) -> set[str]:
    columns = provider_event.c
    found: set[str] = set()
    for some in chunks(event_ids):
        found.update(transaction.execute(select(columns.event_id).where(columns.event_id.in_(some))).scalars())
    return found


def _is(status: EventStatus) -> ColumnElement[bool]:
    worked, failed = provider_event.c.worked_at, provider_event.c.failed_at
    if status is EventStatus.DONE:
        return worked.is_not(None)
    return and_(worked.is_(None), failed.is_(None) if status is EventStatus.WAITING else failed.is_not(None))


def _update(transaction: Transaction, event_ids: Collection[str], **changed: object) -> None:
    transaction.execute(update(provider_event).where(provider_event.c.event_id.in_(event_ids)).values(**changed))


def _events(
    transaction: Transaction, *conditions: ColumnElement[bool], oldest_first: bool, limit: int
) -> list[EventRow]:
    columns = provider_event.c
    order = [columns.received_at, columns.event_id]
    statement = select(provider_event).where(*conditions).limit(limit)
    statement = statement.order_by(*(order if oldest_first else [column.desc() for column in order]))
    return [_event(row) for row in transaction.execute(statement)]


def _event(row: Row[tuple[object, ...]]) -> EventRow:
    return EventRow(
        event=ProviderEvent(
            event_id=row.event_id,
            kind=row.kind,
            object_id=row.object_id,
            is_live=row.is_live,
            created_at=row.created_at,
        ),
        application_id=row.application_id,
        source=EventSource(row.source),
        received_at=row.received_at,
        attempts=row.attempts,
        retry_at=row.retry_at,
        worked_at=row.worked_at,
        failed_at=row.failed_at,
        outcome=row.outcome,
        last_error=row.last_error,
    )
