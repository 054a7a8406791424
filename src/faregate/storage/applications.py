"""The application and who operates it: operators, and the tokens of the management API."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, insert, select, update

from faregate.storage.database import Transaction
from faregate.storage.tables import api_token, application, operator


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRow:
    """One monetized API. `generation` rises when its ledger is restored."""

    application_id: str
    name: str
    clock_offset_us: int
    generation: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderAccount:
    """The account of Stripe's that an application bills through, and whether that is of live mode."""

    application_id: str
    account: str
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """A token of the management API; only its hash is kept."""

    token_id: str
    application_id: str
    token_hash: str
    name: str
    created_at: datetime


def insert_application(transaction: Transaction, row: ApplicationRow, *, collector_id_hash: str) -> None:
    """Keep a new application."""
    transaction.execute(
        insert(application).values(
            application_id=row.application_id,
            name=row.name,
            collector_id_hash=collector_id_hash,
            clock_offset_us=row.clock_offset_us,
            generation=row.generation,
            created_at=row.created_at,
        )
    )


def list_applications(transaction: Transaction) -> list[ApplicationRow]:
    """Return every application, oldest first."""
    return _applications(transaction)


def find_application(transaction: Transaction, application_id: str) -> ApplicationRow | None:
    """Return the application with the id."""
    return next(iter(_applications(transaction, application.c.application_id == application_id)), None)


def read_accounts(transaction: Transaction) -> list[ProviderAccount]:
    """Return the accounts of Stripe's that applications bill through, of those that do, oldest first."""
    columns = application.c
    statement = (
        select(columns.application_id, columns.provider_account, columns.provider_is_live)
        .where(columns.provider_account.is_not(None))
        .order_by(columns.created_at, columns.application_id)
    )
    return [
        ProviderAccount(application_id=row.application_id, account=row.provider_account, is_live=row.provider_is_live)
        for row in transaction.execute(statement)
    ]


def keep_account(transaction: Transaction, *, account: str, is_live: bool) -> None:
    """Remember the account of applications that bill through none yet."""
    transaction.execute(
        update(application)
        .where(application.c.provider_account.is_(None))
        .values(provider_account=account, provider_is_live=is_live)
    )


def set_clock_offset(transaction: Transaction, application_id: str, offset_us: int) -> None:
    """Set how far the application's business time runs ahead of the wall clock."""
    transaction.execute(
        update(application).where(application.c.application_id == application_id).values(clock_offset_us=offset_us)
    )


def raise_generation(transaction: Transaction, generation: int, *, leases_from: datetime) -> None:
    """Keep that the ledger was restored, and before when, on the wall clock, no lease is granted."""
    transaction.execute(update(application).values(generation=generation, leases_from=leases_from))


def read_leases_from(transaction: Transaction) -> datetime | None:
    """Return the instant before which no lease is granted, None where there is none."""
    return transaction.execute(select(func.max(application.c.leases_from))).scalar()


def find_application_of_collector(transaction: Transaction, collector_id_hash: str) -> ApplicationRow | None:
    """Return the application whose collector id has the hash."""
    return next(iter(_applications(transaction, application.c.collector_id_hash == collector_id_hash)), None)


def insert_operator(transaction: Transaction, login: str, *, password_hash: str, created_at: datetime) -> None:
    """Keep a login and the hash of its password."""
    transaction.execute(insert(operator).values(login=login, password_hash=password_hash, created_at=created_at))


def find_password_hash(transaction: Transaction, login: str) -> str | None:
    """Return the hash of the login's password."""
    return transaction.execute(select(operator.c.password_hash).where(operator.c.login == login)).scalar()


def insert_token(transaction: Transaction, row: TokenRow) -> None:
    """Keep a token's hash."""
    transaction.execute(
        insert(api_token).values(
            token_id=row.token_id,
            application_id=row.application_id,
            token_hash=row.token_hash,
            name=row.name,
            created_at=row.created_at,
        )
    )


def find_application_of_token(transaction: Transaction, token_hash: str) -> str | None:
    """Return the id of the application that the token gives access to."""
    statement = select(api_token.c.application_id).where(api_token.c.token_hash == token_hash)
    return transaction.execute(statement).scalar()


def _applications(transaction: Transaction, *conditions: ColumnElement[bool]) -> list[ApplicationRow]:
    statement = select(application).where(*conditions).order_by(application.c.created_at, application.c.application_id)
    return [
        ApplicationRow(
            application_id=row.application_id,
            name=row.name,
            clock_offset_us=row.clock_offset_us,
            generation=row.generation,
            created_at=row.created_at,
        )
        for row in transaction.execute(statement)
    ]
