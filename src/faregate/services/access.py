"""Who may use the management API: operators by password, everything else by token."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from faregate.base.errors import Unauthorized
from faregate.base.ids import IdSource
from faregate.services.credentials import hash_secret, new_api_token, password_matches
from faregate.storage.applications import (
    TokenRow,
    find_application_of_token,
    find_password_hash,
    insert_token,
)
from faregate.storage.database import Transaction

_NOBODY: Final = f"scrypt${'00' * 16}${'00' * 64}"
"""Checked for a login that does not exist, to take as long as one that does; no password has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token as its owner sees it, once."""

    token_id: str
    name: str
    created_at: datetime
    text: str = field(repr=False)


def issue_token(
    transaction: Transaction, *, application_id: str, name: str, new_id: IdSource, now: datetime
) -> IssuedToken:
    """Make a token that gives access to the application."""
    token = IssuedToken(token_id=new_id("tok"), name=name, created_at=now, text=new_api_token())
    insert_token(
        transaction,
        TokenRow(
            token_id=token.token_id,
            application_id=application_id,
            token_hash=hash_secret(token.text),
            name=name,
            created_at=now,
        ),
    )
    return token


def application_of_token(transaction: Transaction, text: str) -> str:
    """Return the id of the application that the token gives access to; `Unauthorized` for any other text."""
    application_id = find_application_of_token(transaction, hash_secret(text))
    if application_id is None:
        raise Unauthorized("the API token is unknown")
    return application_id


def check_operator(transaction: Transaction, login: str, password: str) -> None:
    """Do nothing for an operator's login and password; `Unauthorized` for any others. Takes about 50 ms."""
    kept = find_password_hash(transaction, login)
    if not password_matches(password, kept or _NOBODY) or kept is None:
        raise Unauthorized("the login or the password is wrong")
