"""The event log, the identities seen, and the consumer's position: what makes metering exactly once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import func, insert, select, text, update

from faregate.base.clock import to_microseconds
from faregate.storage.bulk import insert_rows
from faregate.storage.database import Transaction
from faregate.storage.tables import admitted_event, consumer, event_identity, event_log, set_aside, unmeterable

APPLIER = "applier"

_NEXT_EVENTS: Final = text(
    "SELECT position, application_id, body FROM event_log WHERE position > :after ORDER BY position LIMIT :most"
)


class LoggedEvent(NamedTuple):
    """An event as it was accepted; `position` orders the log."""

    position: int
    application_id: str
    body: bytes


class IngestedEvent(NamedTuple):
    """A logged event, and when it was accepted."""

    position: int
    application_id: str
    ingested_at: datetime
    body: bytes


class SeenIdentity(NamedTuple):
    """An identity that has been applied, with the content it had and where it stands in the log."""

    identity: bytes
    content_hash: bytes
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An event that is kept but not metered, and why."""

    position: int
    application_id: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmeterableEvent:
    """An event that matched a meter without giving it a quantity."""

    position: int
    meter_id: str
    application_id: str
    reason: str


class Admitted(NamedTuple):
    """An event that counts, as it was when it was admitted: its company, if it has one, and when it happened."""

    position: int
    company_id: str | None
    occurred_at: datetime


def append_to_log(
    transaction: Transaction, application_id: str, bodies: Sequence[bytes], *, ingested_at: datetime
) -> None:
    """Append events in order."""
    instant = to_microseconds(ingested_at)
    rows = [(application_id, instant, body) for body in bodies]
    insert_rows(transaction, event_log, ("application_id", "ingested_at", "body"), rows=rows)


def log_head(transaction: Transaction) -> int:
    """Return the position of the newest event, 0 for an empty log."""
    return transaction.execute(select(func.max(event_log.c.position))).scalar() or 0


def consumer_position(transaction: Transaction) -> int:
    """Return the position up to which events are applied; locks it where the database has row locks."""
    statement = select(consumer.c.position).where(consumer.c.name == APPLIER).with_for_update()
    found: int | None = transaction.execute(statement).scalar()
    if found is None:
        transaction.execute(insert(consumer).values(name=APPLIER, position=0))
        return 0
    return found


def applied_position(transaction: Transaction) -> int:
    """Return the position up to which events are applied, without a lock."""
    return transaction.execute(select(consumer.c.position).where(consumer.c.name == APPLIER)).scalar() or 0


def move_consumer(transaction: Transaction, position: int) -> None:
    """Set the position up to which events are applied."""
    transaction.execute(update(consumer).where(consumer.c.name == APPLIER).values(position=position))


def read_log(transaction: Transaction, after: int, most: int) -> list[LoggedEvent]:
    """Return the next events after a position, oldest first."""
    return [LoggedEvent(*row) for row in transaction.execute(_NEXT_EVENTS, {"after": after, "most": most})]


def read_logged_event(transaction: Transaction, position: int) -> IngestedEvent | None:
    """Return the event at a position."""
    columns = event_log.c
    chosen = select(columns.position, columns.application_id, columns.ingested_at, columns.body)
    row = transaction.execute(chosen.where(columns.position == position)).first()
    return None if row is None else IngestedEvent(*row)


def find_identities(
    transaction: Transaction, application_id: str, identities: Collection[bytes]
) -> dict[bytes, SeenIdentity]:
    """Return those of the identities that were applied before."""
    statement = select(event_identity).where(
        event_identity.c.application_id == application_id, event_identity.c.identity.in_(identities)
    )
    return {
        row.identity: SeenIdentity(identity=row.identity, content_hash=row.content_hash, position=row.position)
        for row in transaction.execute(statement)
    }


def remember_identities(
    transaction: Transaction, application_id: str, seen: Sequence[SeenIdentity]
) -> dict[bytes, SeenIdentity]:
    """Remember those identities that are new. Return what stands for each of all; nothing where all of them were new.

    What is new stands at its own position. Nothing is looked up where nothing is repeated, as in nearly every batch.
    """
    rows = [(application_id, entry.identity, entry.content_hash, entry.position) for entry in seen]
    columns = ("application_id", "identity", "content_hash", "position")
    added = insert_rows(transaction, event_identity, columns, rows=rows, or_nothing=True)
    if added == len(rows):
        return {}
    return find_identities(transaction, application_id, {entry.identity for entry in seen})


def add_admitted(transaction: Transaction, application_id: str, events: Sequence[Admitted]) -> None:
    """Remember which events count, and when they happened."""
    rows = [(event.position, application_id, event.company_id, to_microseconds(event.occurred_at)) for event in events]
    columns = ("position", "application_id", "company_id", "occurred_at")
    insert_rows(transaction, admitted_event, columns, rows=rows)


def add_set_aside(transaction: Transaction, events: Sequence[SetAside]) -> None:
    """Keep events that were not metered, with their reasons."""
    rows = [
        {
            "position": event.position,
            "application_id": event.application_id,
            "reason": event.reason,
            "detail": event.detail,
        }
        for event in events
    ]
    if rows:
        transaction.execute(insert(set_aside), rows)


def add_unmeterable(transaction: Transaction, events: Sequence[UnmeterableEvent]) -> None:
    """Keep what matched a meter without a quantity."""
    rows = [
        {
            "position": event.position,
            "meter_id": event.meter_id,
            "application_id": event.application_id,
            "reason": event.reason,
        }
        for event in events
    ]
    if rows:
        transaction.execute(insert(unmeterable), rows)
