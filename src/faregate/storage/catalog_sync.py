"""What of the catalog the billing provider is still to be told, and how what it has differs from what we want.

A row a plan and a price. A change raises its `revision` in its own transaction; what is sent is the state that is read
then, so that repeats and late sends do no harm, and changes of one thing are sent in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Row, insert, or_, select, update

from faregate.domain.billing.provider_catalog import Difference
from faregate.storage.database import Transaction
from faregate.storage.tables import catalog_sync

NO_DRIFT: Final = "[]"
"""No difference, as it is kept."""


class CatalogKind(StrEnum):
    """What a row is about: a plan, or a price with all its versions."""

    PLAN = "plan"
    PRICE = "price"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRow:
    """How far the provider has a plan or price.

    `revision` is raised by each change here; up to `synced_revision` the provider was told, in `account`. `changes_at`:
    the business time at which what is wanted changes by itself. The other instants are the wall clock's.
    """

    application_id: str
    kind: CatalogKind
    our_id: str
    revision: int
    synced_revision: int
    account: str
    attempts: int
    retry_at: datetime | None
    synced_at: datetime | None
    looked_at: datetime | None
    last_error: str | None
    drift: tuple[Difference, ...]


def want(transaction: Transaction, application_id: str, kind: CatalogKind, *, our_id: str) -> None:
    """Note that the provider is to be told of a plan or price as it is now."""
    columns = catalog_sync.c
    raised = transaction.execute(
        update(catalog_sync)
        .where(_is(application_id, kind, our_id))
        .values(revision=columns.revision + 1, attempts=0, retry_at=None)
    )
    if not raised.rowcount:
        transaction.execute(
            insert(catalog_sync).values(
                application_id=application_id,
                kind=kind.value,
                our_id=our_id,
                revision=1,
                synced_revision=0,
                account="",
                attempts=0,
                drift=NO_DRIFT,
            )
        )


def due_rows(
    transaction: Transaction,
    application_id: str,
    *,
    account: str | None,
    now: datetime,
    business_now: datetime,
    limit: int,
) -> list[SyncRow]:
    """Return what is to be sent and not held back by a failure, plans first, those that never failed before others.

    Without an `account`, what another account was told is not looked for.
    """
    columns = catalog_sync.c
    is_due = or_(columns.synced_revision < columns.revision, columns.changes_at <= business_now)
    if account is not None:
        is_due = or_(is_due, columns.account != account)
    statement = (
        select(catalog_sync)
        .where(
            columns.application_id == application_id, is_due, or_(columns.retry_at.is_(None), columns.retry_at <= now)
        )
        .order_by(columns.attempts, columns.kind, columns.our_id)
        .limit(limit)
    )
    return [_row(row) for row in transaction.execute(statement)]


def rows_in_step(transaction: Transaction, application_id: str, *, account: str) -> list[SyncRow]:
    """Return what the account was told and is to be told no more: what differs there, was changed there."""
    columns = catalog_sync.c
    statement = select(catalog_sync).where(
        columns.application_id == application_id,
        columns.account == account,
        columns.synced_revision == columns.revision,
    )
    return [_row(row) for row in transaction.execute(statement.order_by(columns.kind, columns.our_id))]


def list_rows(
    transaction: Transaction,
    application_id: str,
    *,
    only_drifted: bool = False,
    after: tuple[str, str] | None = None,
    limit: int | None = None,
) -> list[SyncRow]:
    """Return how plans, then prices stand, in id order, from the first one after the kind and id `after`."""
    columns = catalog_sync.c
    conditions = [columns.application_id == application_id]
    if after is not None:
        kind, our_id = after
        conditions.append(or_(columns.kind > kind, (columns.kind == kind) & (columns.our_id > our_id)))
    if only_drifted:
        conditions.append(columns.drift != NO_DRIFT)
    statement = select(catalog_sync).where(*conditions).order_by(columns.kind, columns.our_id).limit(limit)
    return [_row(row) for row in transaction.execute(statement)]


def find_row(transaction: Transaction, application_id: str, kind: CatalogKind, *, our_id: str) -> SyncRow | None:
    """Return how a plan or price stands."""
    row = transaction.execute(select(catalog_sync).where(_is(application_id, kind, our_id))).first()
    return None if row is None else _row(row)


def mark_synced(
    transaction: Transaction, row: SyncRow, *, account: str, changes_at: datetime | None, now: datetime
) -> None:
    """Note that the provider was told of it as it was at the row's revision; a later change still waits."""
    transaction.execute(
        update(catalog_sync)
        .where(_is(row.application_id, row.kind, row.our_id))
        .values(
            synced_revision=row.revision,
            account=account,
            attempts=0,
            changes_at=changes_at,
            retry_at=None,
            synced_at=now,
            last_error=None,
            drift=NO_DRIFT,
        )
    )


def mark_unsynced(transaction: Transaction, row: SyncRow, *, error: str, retry_at: datetime) -> None:
    """Note why the provider did not take it, and when it is tried again."""
    transaction.execute(
        update(catalog_sync)
        .where(_is(row.application_id, row.kind, row.our_id))
        .values(attempts=row.attempts + 1, last_error=error, retry_at=retry_at)
    )


def keep_drift(transaction: Transaction, row: SyncRow, found: Sequence[Difference], *, now: datetime) -> None:
    """Keep in what the provider's objects differ, unless something changed here since it was read."""
    transaction.execute(
        update(catalog_sync)
        .where(
            _is(row.application_id, row.kind, row.our_id),
            catalog_sync.c.revision == row.revision,
            catalog_sync.c.synced_revision == row.synced_revision,
        )
        .values(drift=msgspec.json.encode(list(found)).decode(), looked_at=now)
    )


def _is(application_id: str, kind: CatalogKind, our_id: str) -> ColumnElement[bool]:
    columns = catalog_sync.c
    return (columns.application_id == application_id) & (columns.kind == kind.value) & (columns.our_id == our_id)


def _row(row: Row[tuple[object, ...]]) -> SyncRow:
    return SyncRow(
        application_id=row.application_id,
        kind=CatalogKind(row.kind),
        our_id=row.our_id,
        revision=row.revision,
        synced_revision=row.synced_revision,
        account=row.account,
        attempts=row.attempts,
        retry_at=row.retry_at,
        synced_at=row.synced_at,
        looked_at=row.looked_at,
        last_error=row.last_error,
        drift=msgspec.json.decode(row.drift, type=tuple[Difference, ...]),
    )
