"""Companies, their users and their API keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, insert, select, update

from faregate.storage.database import Transaction
from faregate.storage.tables import api_key, company, user


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyRow:
    """A customer, under the id that the operator gave it."""

    company_id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """A person or key holder in a company."""

    user_id: str
    company_id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """An API key without its text: `hint` is the text's end, `key_hash` its SHA-256 in hex."""

    key_id: str
    application_id: str
    company_id: str
    user_id: str | None
    name: str
    hint: str
    key_hash: str
    replay: bool
    created_at: datetime
    revoked_at: datetime | None


def insert_company(transaction: Transaction, application_id: str, row: CompanyRow) -> None:
    """Keep a new company."""
    transaction.execute(
        insert(company).values(
            application_id=application_id, company_id=row.company_id, name=row.name, created_at=row.created_at
        )
    )


def rename_company(transaction: Transaction, application_id: str, company_id: str, *, name: str) -> None:
    """Give a company another name."""
    transaction.execute(
        update(company)
        .where(company.c.application_id == application_id, company.c.company_id == company_id)
        .values(name=name)
    )


def find_company(transaction: Transaction, application_id: str, company_id: str) -> CompanyRow | None:
    """Return the company with the id."""
    statement = select(company).where(company.c.application_id == application_id, company.c.company_id == company_id)
    row = transaction.execute(statement).first()
    return None if row is None else _company(row)


def list_companies(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[CompanyRow]:
    """Return companies in id order, from the first one after `after`."""
    statement = (
        select(company)
        .where(company.c.application_id == application_id, company.c.company_id > after)
        .order_by(company.c.company_id)
        .limit(limit)
    )
    return [_company(row) for row in transaction.execute(statement)]


def insert_user(transaction: Transaction, application_id: str, row: UserRow) -> None:
    """Keep a new user."""
    transaction.execute(
        insert(user).values(
            application_id=application_id,
            user_id=row.user_id,
            company_id=row.company_id,
            name=row.name,
            created_at=row.created_at,
        )
    )


def rename_user(transaction: Transaction, application_id: str, user_id: str, *, name: str) -> None:
    """Give a user another name."""
    transaction.execute(
        update(user).where(user.c.application_id == application_id, user.c.user_id == user_id).values(name=name)
    )


def find_user(transaction: Transaction, application_id: str, user_id: str) -> UserRow | None:
    """Return the user with the id."""
    statement = select(user).where(user.c.application_id == application_id, user.c.user_id == user_id)
    row = transaction.execute(statement).first()
    return None if row is None else _user(row)


def list_users(
    transaction: Transaction, application_id: str, *, company_id: str | None, after: str, limit: int
) -> list[UserRow]:
    """Return users, of one company or of all, in id order, from the first one after `after`."""
    conditions = [user.c.application_id == application_id, user.c.user_id > after]
    if company_id is not None:
        conditions.append(user.c.company_id == company_id)
    statement = select(user).where(*conditions).order_by(user.c.user_id).limit(limit)
    return [_user(row) for row in transaction.execute(statement)]


def insert_key(transaction: Transaction, row: KeyRow) -> None:
    """Keep a new key."""
    transaction.execute(
        insert(api_key).values(
            key_id=row.key_id,
            application_id=row.application_id,
            company_id=row.company_id,
            user_id=row.user_id,
            name=row.name,
            hint=row.hint,
            key_hash=row.key_hash,
            replay=row.replay,
            created_at=row.created_at,
            revoked_at=row.revoked_at,
        )
    )


def set_key_revoked(transaction: Transaction, key_id: str, revoked_at: datetime) -> None:
    """Note since when a key is not valid."""
    transaction.execute(update(api_key).where(api_key.c.key_id == key_id).values(revoked_at=revoked_at))


def find_key(transaction: Transaction, application_id: str, key_id: str) -> KeyRow | None:
    """Return the key with the id, revoked or not."""
    statement = select(api_key).where(api_key.c.application_id == application_id, api_key.c.key_id == key_id)
    row = transaction.execute(statement).first()
    return None if row is None else _key(row)


def list_keys(
    transaction: Transaction, application_id: str, *, company_id: str | None, after: str, limit: int
) -> list[KeyRow]:
    """Return keys, revoked ones too, of one company or of all, in id order, from the first one after `after`."""
    conditions: list[ColumnElement[bool]] = [api_key.c.application_id == application_id, api_key.c.key_id > after]
    if company_id is not None:
        conditions.append(api_key.c.company_id == company_id)
    statement = select(api_key).where(*conditions).order_by(api_key.c.key_id).limit(limit)
    return [_key(row) for row in transaction.execute(statement)]


def _company(row: Row[tuple[object, ...]]) -> CompanyRow:
    return CompanyRow(company_id=row.company_id, name=row.name, created_at=row.created_at)


def _user(row: Row[tuple[object, ...]]) -> UserRow:
    return UserRow(user_id=row.user_id, company_id=row.company_id, name=row.name, created_at=row.created_at)


def _key(row: Row[tuple[object, ...]]) -> KeyRow:
    return KeyRow(
        key_id=row.key_id,
        application_id=row.application_id,
        company_id=row.company_id,
        user_id=row.user_id,
        name=row.name,
        hint=row.hint,
        key_hash=row.key_hash,
        replay=row.replay,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
