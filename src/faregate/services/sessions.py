"""Sign operators in to the pages: a random cookie, of which only the hash is kept, and a token for its forms."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from faregate.base.errors import Unauthorized
from faregate.services.credentials import hash_secret, new_session_secret
from faregate.services.gateway_calls import main_application
from faregate.storage import sessions as stored
from faregate.storage.database import Transaction
from faregate.storage.sessions import SessionRow

IDLE_FOR: Final = timedelta(hours=12)
LASTS_FOR: Final = timedelta(days=7)
_TOUCH_AFTER: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A new session; `cookie` is told once."""

    session: SessionRow
    cookie: str = field(repr=False)


def open_session(transaction: Transaction, *, login: str, now: datetime) -> SignedIn:
    """Open a session for an operator whose password was checked. `now` on the wall clock."""
    stored.delete_ended_sessions(transaction, seen_before=now - IDLE_FOR, made_before=now - LASTS_FOR)
    cookie = new_session_secret()
    session = SessionRow(
        session_hash=hash_secret(cookie),
        application_id=main_application(transaction),
        login=login,
        form_token=new_session_secret(),
        created_at=now,
        seen_at=now,
    )
    stored.insert_session(transaction, session)
    return SignedIn(session=session, cookie=cookie)


def find_live_session(transaction: Transaction, cookie: str, *, now: datetime) -> SessionRow | None:
    """Return the session of a cookie; None where there is none, or it has ended."""
    session = stored.find_session(transaction, hash_secret(cookie))
    if session is None or now >= session.seen_at + IDLE_FOR or now >= session.created_at + LASTS_FOR:
        return None
    return session


def is_to_be_touched(session: SessionRow, *, now: datetime) -> bool:
    """Return whether it is time to write down that the session is in use: not for each page."""
    return now >= session.seen_at + _TOUCH_AFTER


def touch(transaction: Transaction, session: SessionRow, *, now: datetime) -> None:
    """Write down that a session is in use."""
    stored.touch_session(transaction, session.session_hash, at=now)


def sign_out(transaction: Transaction, session: SessionRow) -> None:
    """End a session."""
    stored.delete_session(transaction, session.session_hash)


def require_own_form(session: SessionRow, form_token: str) -> None:
    """Raise `Unauthorized` for a form that a page of this session did not make."""
    if not hmac.compare_digest(session.form_token.encode(), form_token.encode()):
        raise Unauthorized("this form is of another session; open the page again")
