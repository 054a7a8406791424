"""Operators who are signed in to the pages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert, or_, select, update

from faregate.storage.database import Transaction
from faregate.storage.tables import operator_session


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session by the hash of its cookie; `form_token` stands in every form of its pages. Times on the wall clock."""

    session_hash: str
    application_id: str
    login: str
    form_token: str
    created_at: datetime
    seen_at: datetime


def insert_session(transaction: Transaction, row: SessionRow) -> None:
    """Write a new session."""
    transaction.execute(insert(operator_session).values(**asdict(row)))


def find_session(transaction: Transaction, session_hash: str) -> SessionRow | None:
    """Return the session of a cookie, ended or not."""
    row = transaction.execute(select(operator_session).where(operator_session.c.session_hash == session_hash)).first()
    return None if row is None else SessionRow(**row._asdict())


def touch_session(transaction: Transaction, session_hash: str, *, at: datetime) -> None:
    """Keep when a session was last used."""
    transaction.execute(
        update(operator_session).where(operator_session.c.session_hash == session_hash).values(seen_at=at)
    )


def delete_session(transaction: Transaction, session_hash: str) -> None:
    """End a session."""
    transaction.execute(delete(operator_session).where(operator_session.c.session_hash == session_hash))


def delete_ended_sessions(transaction: Transaction, *, seen_before: datetime, made_before: datetime) -> None:
    """Forget sessions that nobody can use any more."""
    ended = or_(operator_session.c.seen_at < seen_before, operator_session.c.created_at < made_before)
    transaction.execute(delete(operator_session).where(ended))
