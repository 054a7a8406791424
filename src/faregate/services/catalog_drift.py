"""What somebody changed of our catalog at the billing provider: found, kept, shown, and settled by choice.

It is found by looking: at every object that is in step, field by field, each few minutes, and at one when the provider
tells that it changed. Nothing is put right without being asked: it may be what was meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog
from msgspec import UNSET

from faregate.base.clock import Clock
from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.domain.billing.provider_catalog import GONE, CatalogProvider, Difference, differences
from faregate.domain.billing.provider_links import LinkKind
from faregate.services.business_clock import business_now
from faregate.services.catalog import change_plan
from faregate.services.change import Change
from faregate.services.provider_calls import ask_provider
from faregate.services.sync_catalog import Task, read_task
from faregate.storage.applications import list_applications
from faregate.storage.catalog_sync import CatalogKind, SyncRow, find_row, keep_drift, rows_in_step, want
from faregate.storage.database import Database, Transaction
from faregate.storage.provider_links import find_linked
from faregate.wire.api.catalog import PlanChange

_log = structlog.get_logger(__name__)

_KINDS: Final = {"product": LinkKind.PRODUCT, "price": LinkKind.PRICE, "meter": LinkKind.METER}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedObject:
    """An object that the provider tells of: `kind` is `product`, `price` or `meter`."""

    kind: str
    provider_id: str


async def look_for_drift(
    database: Database,
    provider: CatalogProvider,
    clock: Clock,
    *,
    changed: Iterable[ChangedObject] | None = None,
) -> int:
    """Compare what the provider has with what we want, and keep what differs; return how many fields do.

    `changed`: look at these objects alone, as far as they are ours. Raises as the provider does.
    """
    account = await ask_provider(provider.account)
    wanted = None if changed is None else list(changed)
    tasks = await database.read(lambda tx: _read_tasks(tx, clock, account=account, changed=wanted))
    found = 0
    for task in tasks:
        drift = await ask_provider(_compare, provider, task)
        found += len(drift)
        if tuple(drift) != task.row.drift:
            _log.info("catalog.drift_seen", kind=task.row.kind.value, id=task.row.our_id, fields=len(drift))
        await database.write(lambda tx: keep_drift(tx, task.row, drift, now=clock.now()))  # noqa: B023 - awaited at once
    return found


def _compare(provider: CatalogProvider, task: Task) -> list[Difference]:
    found: list[Difference] = []
    for kind, our_id, fields in [] if task.wanted is None else task.wanted.objects():
        provider_id = task.links.find(kind, our_id)
        if provider_id is not None:
            found += differences(kind, our_id, provider_id, ours=fields, theirs=provider.seen(kind, provider_id))
    return found


def _read_tasks(
    transaction: Transaction, clock: Clock, *, account: str, changed: list[ChangedObject] | None
) -> list[Task]:
    named = None if changed is None else _our_ids(transaction, account, changed)
    tasks = []
    for application in list_applications(transaction):
        now = business_now(transaction, application.application_id, clock)
        for row in rows_in_step(transaction, application.application_id, account=account):
            task = read_task(transaction, row, account=account, now=now)
            if named is None or (task.wanted is not None and not named.isdisjoint(_ids(task))):
                tasks.append(task)
    return tasks


def _ids(task: Task) -> set[tuple[str, LinkKind, str]]:
    wanted = task.wanted
    application_id = task.row.application_id
    return set() if wanted is None else {(application_id, kind, our_id) for kind, our_id, _ in wanted.objects()}


def _our_ids(transaction: Transaction, account: str, changed: list[ChangedObject]) -> set[tuple[str, LinkKind, str]]:
    return {
        (linked.application_id, kind, linked.our_id)
        for one in changed
        for kind in [_KINDS[one.kind]]
        for linked in find_linked(transaction, account=account, kind=kind, provider_id=one.provider_id)
    }


def take_ours(transaction: Transaction, change: Change, kind: CatalogKind, *, our_id: str) -> SyncRow:
    """Let the provider have a plan or price as it is here again, within seconds; `NotFound` for an unknown one."""
    find_drifted(transaction, change.application_id, kind, our_id=our_id)
    want(transaction, change.application_id, kind, our_id=our_id)
    return find_drifted(transaction, change.application_id, kind, our_id=our_id)


def take_theirs(transaction: Transaction, change: Change, kind: CatalogKind, *, our_id: str) -> SyncRow:
    """Take what the provider has for ours: a plan's name, and whether it is sold.

    Raises `NotFound`, and `Conflict` on the first field that cannot be ours, with why.
    """
    row = find_drifted(transaction, change.application_id, kind, our_id=our_id)
    if not row.drift:
        raise Conflict("id", "nothing differs at the provider")
    if kind is CatalogKind.PRICE:
        first = row.drift[0]
        raise Conflict(first.field, _why_not(first))
    theirs = {difference.field: difference.theirs for difference in row.drift}
    if GONE in theirs:
        raise Conflict(GONE, "the product was deleted there; archive the plan here, or make the product again")
    request = PlanChange(
        name=theirs.get("name", UNSET), archived=theirs["active"] == "false" if "active" in theirs else UNSET
    )
    change_plan(transaction, change, request, plan_id=our_id)
    return find_drifted(transaction, change.application_id, kind, our_id=our_id)


def find_drifted(transaction: Transaction, application_id: str, kind: CatalogKind, *, our_id: str) -> SyncRow:
    """Return how a plan or price stands at the provider; `NotFound` for an unknown one."""
    row = find_row(transaction, application_id, kind, our_id=our_id)
    if row is None:
        raise NotFound(kind.value, our_id)
    return row


def to_catalog_kind(kind: str) -> CatalogKind:
    """Return the kind; `InvalidInput` on `kind` for none."""
    try:
        return CatalogKind(kind)
    except ValueError:
        raise InvalidInput.of("kind", f"must be one of {', '.join(CatalogKind)}") from None


def _why_not(difference: Difference) -> str:
    if difference.kind is LinkKind.METER:
        return "a meter there bears the name of the meter here: rename that one"
    match difference.field:
        case "active" | "lookup_key":
            return "which version is sold follows from the versions here: make another version, or archive the plan"
        case "tax_behavior":
            return "of a price never changes here: make another price under another name"
        case "nickname":
            return "a price here keeps its name"
        case _:
            return "the price there is another one; make a version here with the terms that are meant"
