"""Bring the catalog at the billing provider to what it is here: within seconds of a change, and as often as need be.

Each plan and price is sent for itself, as it stands when it is read: a crash between the call and its mark sends it
again, which changes nothing, and a failure delays no other. A price is sold before the one it follows is archived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from faregate.base.clock import Clock
from faregate.base.errors import FaregateError
from faregate.base.limits import MAX_DETAIL_CHARACTERS
from faregate.domain.billing.provider_catalog import CatalogProvider
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.services.business_clock import business_now
from faregate.services.provider_calls import ask_provider
from faregate.services.retries import retry_delay
from faregate.services.wanted_catalog import Wanted, read_wanted
from faregate.storage.applications import list_applications
from faregate.storage.catalog_sync import SyncRow, due_rows, mark_synced, mark_unsynced
from faregate.storage.database import Database, Transaction
from faregate.storage.provider_links import keep_links, read_links

_log = structlog.get_logger(__name__)

_AT_ONCE: Final = 4
_BATCH: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A plan or price, how it should stand at `at` (business time), and its links."""

    row: SyncRow
    wanted: Wanted | None
    links: ProviderLinks


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    task: Task
    error: str | None


async def sync_catalog(database: Database, provider: CatalogProvider, clock: Clock) -> int:
    """Send what waits and is not held back by a failure; return how many plans and prices were brought into step.

    Where nothing waits, the provider is not asked anything.
    """
    synced = 0
    account: str | None = None
    while True:
        tasks = await database.read(lambda tx: _read_tasks(tx, clock, account))  # noqa: B023 - awaited at once
        if not tasks:
            return synced
        if account is None:
            account = await ask_provider(provider.account)
            continue
        turns = asyncio.Semaphore(_AT_ONCE)
        sent = await asyncio.gather(*(_send(provider, task, turns) for task in tasks))
        known = account
        await database.write(lambda tx: _mark(tx, sent, clock.now(), account=known))  # noqa: B023 - as above
        synced += sum(one.error is None for one in sent)


def _read_tasks(transaction: Transaction, clock: Clock, account: str | None) -> list[Task]:
    tasks = []
    for application in list_applications(transaction):
        now = business_now(transaction, application.application_id, clock)
        rows = due_rows(
            transaction,
            application.application_id,
            account=account,
            now=clock.now(),
            business_now=now,
            limit=_BATCH,
        )
        tasks += [read_task(transaction, row, account=account or "", now=now) for row in rows]
    return tasks


def read_task(transaction: Transaction, row: SyncRow, *, account: str, now: datetime) -> Task:
    """Return what a row's plan or price should be at the business time, and the account's links of it."""
    wanted = read_wanted(transaction, row, now=now)
    our_ids = [] if wanted is None else wanted.our_ids
    links = read_links(transaction, application_id=row.application_id, account=account, our_ids=our_ids)
    return Task(row=row, wanted=wanted, links=ProviderLinks(links))


async def _send(provider: CatalogProvider, task: Task, turns: asyncio.Semaphore) -> _Sent:
    error: str | None = None
    async with turns:
        try:
            if task.wanted is not None:
                await ask_provider(push, provider, task.wanted, task.links)
        except FaregateError as failure:
            error = failure.message[:MAX_DETAIL_CHARACTERS]
        except Exception as failure:  # noqa: BLE001 - whatever is wrong with one, the others go on
            _log.exception("catalog.sync_crashed", kind=task.row.kind.value, id=task.row.our_id)
            error = f"could not be sent: {type(failure).__name__}"
    if error is not None:
        _log.warning("catalog.sync_failed", kind=task.row.kind.value, id=task.row.our_id, error=error)
    return _Sent(task=task, error=error)


def push(provider: CatalogProvider, wanted: Wanted, links: ProviderLinks) -> None:
    """Let the provider have a plan, or a price with its plan."""
    if wanted.series is None:
        provider.push_product(wanted.product, links)
    else:
        provider.push_series(wanted.series, links)


def _mark(transaction: Transaction, sent: Sequence[_Sent], now: datetime, *, account: str) -> None:
    for one in sent:
        row = one.task.row
        # Kept after a failure too: some of it may have been made.
        keep_links(transaction, one.task.links.made, application_id=row.application_id, account=account, now=now)
        if one.error is None:
            changes_at = None if one.task.wanted is None else one.task.wanted.changes_at
            mark_synced(transaction, row, account=account, changes_at=changes_at, now=now)
        else:
            retry_at = now + retry_delay(row.attempts, sum(row.our_id.encode()))
            mark_unsynced(transaction, row, error=one.error, retry_at=retry_at)
