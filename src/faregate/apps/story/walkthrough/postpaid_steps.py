"""Step h: a postpaid customer."""

from __future__ import annotations

from faregate.apps.story.customers import add_customer
from faregate.apps.story.walkthrough import expected
from faregate.apps.story.walkthrough.expected import POSTPAID
from faregate.apps.story.walkthrough.record import StepRecord
from faregate.apps.story.walkthrough.scene import Scene


async def call_without_credit(scene: Scene) -> StepRecord:
    """Put a company on the plan, postpaid; it calls at once and owes what it used."""
    step = StepRecord(
        step="h",
        title="A postpaid customer",
        about="Globex pays by invoice: it needs no credit, and its balance is what it owes so far.",
    )
    scene.customers[POSTPAID] = await add_customer(
        scene.management, company_id=POSTPAID, name="Globex", pays="postpaid"
    )
    await scene.call(step, POSTPAID, expected.WITHOUT_CREDIT)
    await scene.call(step, POSTPAID, expected.METERED)
    return step
