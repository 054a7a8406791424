"""Events that were admitted, found again by their time: for trying a meter on them, and for filling a new one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, func, or_, select, type_coerce

from faregate.storage.database import Transaction
from faregate.storage.tables import admitted_event, event_log


class KeptEvent(NamedTuple):
    """An admitted event: when it happened in microseconds since the epoch, and its company as it was found then."""

    position: int
    company_id: str | None
    occurred_at_us: int
    body: bytes


class AdmittedRow(NamedTuple):
    """An admitted event without its body."""

    position: int
    application_id: str
    company_id: str | None
    occurred_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRange:
    """Events of an application with from <= instant < to that stand in the log up to `through`."""

    application_id: str
    from_at: datetime
    to_at: datetime
    through: int


def newest_admitted(transaction: Transaction) -> int:
    """Return the position of the newest admitted event, 0 where there is none."""
    return transaction.execute(select(func.max(admitted_event.c.position))).scalar() or 0


def count_kept(transaction: Transaction, wanted: KeptRange) -> int:
    """Return how many events the range has."""
    statement = select(func.count()).select_from(admitted_event).where(*_in_range(wanted))
    found: int = transaction.execute(statement).scalar_one()
    return found


def read_kept(transaction: Transaction, wanted: KeptRange, *, after: tuple[int, int], limit: int) -> list[KeptEvent]:
    """Return the next events by time and position, from the first one after the key (instant, position).

    The first key is the range's start with position 0.
    """
    columns = admitted_event.c
    at = type_coerce(columns.occurred_at, BigInteger)
    statement = (
        select(columns.position, columns.company_id, at, event_log.c.body)
        .join(event_log, event_log.c.position == columns.position)
        .where(
            columns.application_id == wanted.application_id,
            # One lower bound alone: of two, a database may take the range's and skip from its start for every slice.
            at >= after[0],
            columns.occurred_at < wanted.to_at,
            columns.position <= wanted.through,
            or_(at > after[0], columns.position > after[1]),
        )
        .order_by(at, columns.position)
        .limit(limit)
    )
    return list(map(KeptEvent._make, transaction.execute(statement).all()))


def read_kept_by_position(transaction: Transaction, wanted: KeptRange, *, after: int, limit: int) -> list[KeptEvent]:
    """Return the range's next events in log order, from the first one after the position `after`."""
    at = type_coerce(admitted_event.c.occurred_at, BigInteger)
    statement = (
        select(admitted_event.c.position, admitted_event.c.company_id, at, event_log.c.body)
        .join(event_log, event_log.c.position == admitted_event.c.position)
        .where(*_in_range(wanted), admitted_event.c.position > after)
        .order_by(admitted_event.c.position)
        .limit(limit)
    )
    return list(map(KeptEvent._make, transaction.execute(statement).all()))


def first_position(transaction: Transaction, application_id: str, *, from_us: int) -> int:
    """Return the position of the first admitted event of an instant or later; 1 where there is none."""
    columns = admitted_event.c
    at = type_coerce(columns.occurred_at, BigInteger)
    statement = select(func.min(columns.position)).where(columns.application_id == application_id, at >= from_us)
    return transaction.execute(statement).scalar() or 1


def read_admitted(transaction: Transaction, *, after: int, through: int, limit: int) -> list[AdmittedRow]:
    """Return the next admitted events of every application in log order, after one position and up to another.

    Of every application, so that no database goes by an index on the time and sorts anew for every slice.
    """
    columns = admitted_event.c
    at = type_coerce(columns.occurred_at, BigInteger)
    statement = (
        select(columns.position, columns.application_id, columns.company_id, at)
        .where(columns.position > after, columns.position <= through)
        .order_by(columns.position)
        .limit(limit)
    )
    return list(map(AdmittedRow._make, transaction.execute(statement).all()))


def read_bodies(transaction: Transaction, positions: Collection[int]) -> dict[int, bytes]:
    """Return what was logged at positions."""
    statement = select(event_log.c.position, event_log.c.body).where(event_log.c.position.in_(positions))
    return {row.position: row.body for row in transaction.execute(statement)}


def _in_range(wanted: KeptRange) -> tuple[ColumnElement[bool], ...]:
    columns = admitted_event.c
    return (
        columns.application_id == wanted.application_id,
        columns.occurred_at >= wanted.from_at,
        columns.occurred_at < wanted.to_at,
        columns.position <= wanted.through,
    )
