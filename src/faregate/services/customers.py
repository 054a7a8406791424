"""Add companies and users, make and revoke API keys."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import UNSET

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.services.change import Change
from faregate.services.credentials import hash_secret, hint_of, new_api_key
from faregate.storage import customers as stored
from faregate.storage.customers import CompanyRow, KeyRow, UserRow
from faregate.storage.database import Transaction
from faregate.storage.state_feed import record_change
from faregate.wire.api.customers import CompanyCreate, KeyCreate, UserCreate


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key as its owner sees it, once."""

    row: KeyRow
    text: str = field(repr=False)


def create_company(transaction: Transaction, change: Change, request: CompanyCreate) -> CompanyRow:
    """Add a company; `Conflict` on `company_id` if there is one of that id."""
    if stored.find_company(transaction, change.application_id, request.company_id) is not None:
        raise Conflict("company_id", f"there is already a company {request.company_id!r}")
    name = request.company_id if request.name is UNSET else request.name
    company = CompanyRow(company_id=request.company_id, name=name, created_at=change.now)
    stored.insert_company(transaction, change.application_id, company)
    return company


def rename_company(transaction: Transaction, change: Change, company_id: str, *, name: str) -> CompanyRow:
    """Give a company another name."""
    find_company(transaction, change.application_id, company_id)
    stored.rename_company(transaction, change.application_id, company_id, name=name)
    return find_company(transaction, change.application_id, company_id)


def find_company(transaction: Transaction, application_id: str, company_id: str) -> CompanyRow:
    """Return the company; `NotFound` if there is none of that id."""
    company = stored.find_company(transaction, application_id, company_id)
    if company is None:
        raise NotFound("company", company_id)
    return company


def create_user(transaction: Transaction, change: Change, request: UserCreate) -> UserRow:
    """Add a user to a company.

    Raises `InvalidInput` on `company_id` if there is no such company, `Conflict` on `user_id` if there is such a user.
    """
    require_company(transaction, change.application_id, request.company_id)
    existing = stored.find_user(transaction, change.application_id, request.user_id)
    if existing is not None:
        raise Conflict("user_id", f"there is already a user {request.user_id!r}, of company {existing.company_id!r}")
    name = request.user_id if request.name is UNSET else request.name
    user = UserRow(user_id=request.user_id, company_id=request.company_id, name=name, created_at=change.now)
    stored.insert_user(transaction, change.application_id, user)
    return user


def rename_user(transaction: Transaction, change: Change, user_id: str, *, name: str) -> UserRow:
    """Give a user another name."""
    find_user(transaction, change.application_id, user_id)
    stored.rename_user(transaction, change.application_id, user_id, name=name)
    return find_user(transaction, change.application_id, user_id)


def find_user(transaction: Transaction, application_id: str, user_id: str) -> UserRow:
    """Return the user; `NotFound` if there is none of that id."""
    user = stored.find_user(transaction, application_id, user_id)
    if user is None:
        raise NotFound("user", user_id)
    return user


def create_key(transaction: Transaction, change: Change, request: KeyCreate) -> NewKey:
    """Make an API key; `InvalidInput` on `company_id` or `user_id` if the key could belong to nobody."""
    require_company(transaction, change.application_id, request.company_id)
    if request.user_id is not None:
        user = stored.find_user(transaction, change.application_id, request.user_id)
        if user is None or user.company_id != request.company_id:
            message = f"company {request.company_id!r} has no user {request.user_id!r}"
            raise InvalidInput.of("user_id", message)
    text = new_api_key()
    row = KeyRow(
        key_id=change.new_id("key"),
        application_id=change.application_id,
        company_id=request.company_id,
        user_id=request.user_id,
        name=request.name,
        hint=hint_of(text),
        key_hash=hash_secret(text),
        replay=request.replay,
        created_at=change.now,
        revoked_at=None,
    )
    stored.insert_key(transaction, row)
    record_change(transaction, "key", row.key_id)
    return NewKey(row=row, text=text)


def revoke_key(transaction: Transaction, change: Change, key_id: str) -> None:
    """Make a key invalid, for good; a second time changes nothing."""
    if find_key(transaction, change.application_id, key_id).revoked_at is None:
        stored.set_key_revoked(transaction, key_id, change.now)
        record_change(transaction, "key", key_id)


def find_key(transaction: Transaction, application_id: str, key_id: str) -> KeyRow:
    """Return the key, revoked or not; `NotFound` if there is none of that id."""
    row = stored.find_key(transaction, application_id, key_id)
    if row is None:
        raise NotFound("key", key_id)
    return row


def require_company(transaction: Transaction, application_id: str, company_id: str) -> None:
    """Raise `InvalidInput` on `company_id` if there is no such company."""
    if stored.find_company(transaction, application_id, company_id) is None:
        raise InvalidInput.of("company_id", f"there is no company {company_id!r}")
