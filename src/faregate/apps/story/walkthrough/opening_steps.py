"""Steps a and b: the catalog, and a prepaid customer who has no credit yet."""

from __future__ import annotations

from typing import Any, Final

from faregate.apps.story.customers import add_customer, price_names
from faregate.apps.story.seed import seed_catalog
from faregate.apps.story.walkthrough.expected import PREPAID, SMALL
from faregate.apps.story.walkthrough.record import StepRecord
from faregate.apps.story.walkthrough.scene import Scene
from faregate.wire.api.catalog_document import Action, CatalogApplied

_RESOURCES: Final = 8
"""A plan, two prices, two meters, a route and two rules."""


async def apply_catalog(scene: Scene) -> StepRecord:
    """Show the catalog's difference, make it so, and show that nothing is left to do."""
    step = StepRecord(
        step="a",
        title="The catalog, as code",
        about="One document: plan, prices, meters, route and rules. First the difference, then the deed.",
    )
    catalog = seed_catalog(upstream_url=scene.upstream_url)
    shown = await _apply(scene, catalog, dry_run=True)
    step.check("difference: to create", expected=_RESOURCES, found=_count(shown, Action.CREATE))
    step.notes = [f"+ {entry.kind} {entry.name}" for entry in shown.differences]
    again = await _apply(scene, catalog, dry_run=True)
    step.check("a dry run makes nothing: to create", expected=_RESOURCES, found=_count(again, Action.CREATE))
    done = await _apply(scene, catalog, dry_run=False)
    step.check("applied: created", expected=_RESOURCES, found=_count(done, Action.CREATE))
    after = await _apply(scene, catalog, dry_run=True)
    step.check("afterwards: unchanged", expected=_RESOURCES, found=_count(after, Action.UNCHANGED))
    scene.prices = await price_names(scene.management)
    step.facts = {"created": _count(done, Action.CREATE), "unchanged_afterwards": _count(after, Action.UNCHANGED)}
    return step


async def refuse_without_credit(scene: Scene) -> StepRecord:
    """Put a company on the plan, prepaid; its first call is refused."""
    step = StepRecord(
        step="b",
        title="A prepaid customer, without credit",
        about="Acme subscribes and gets a key. It has no credit, so no unit is affordable and the gateway refuses.",
    )
    scene.customers[PREPAID] = await add_customer(scene.management, company_id=PREPAID, name="Acme", pays="prepaid")
    step.notes.append(f'client = OpenAI(base_url="{scene.base_url}", api_key=key)')
    account = await scene.balance(PREPAID)
    step.check("balance before any grant", expected="0.00", found=account.balance)
    step.check("exhausted", expected=True, found=account.exhausted)
    await scene.refused(
        step, PREPAID, name="a first call, without credit", tokens=SMALL, code="credit_balance_exhausted"
    )
    return step


async def _apply(scene: Scene, catalog: dict[str, Any], *, dry_run: bool) -> CatalogApplied:
    return await scene.management.post("/catalog/apply", {"catalog": catalog, "dry_run": dry_run}, CatalogApplied)


def _count(applied: CatalogApplied, action: Action) -> int:
    return sum(entry.action is action for entry in applied.differences)
