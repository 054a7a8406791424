"""Steps c to g: a prepaid customer's credit, package by package, to its end and beyond."""

from __future__ import annotations

from faregate.apps.story.walkthrough import expected
from faregate.apps.story.walkthrough.expected import PREPAID
from faregate.apps.story.walkthrough.record import StepRecord
from faregate.apps.story.walkthrough.scene import Scene
from faregate.wire.api.credit import GrantView


async def call_first(scene: Scene) -> StepRecord:
    """Give credit; the next call passes and pays for a package of each price."""
    step = StepRecord(
        step="c",
        title="Credit, and the first packages",
        about="A grant lets the next call through. A package's first unit costs all of it; the rest is paid ahead.",
    )
    await _grant(scene, step, amount=expected.FIRST_GRANT, caller_id="walkthrough-first-grant", balance="4.00")
    await scene.call(step, PREPAID, expected.FIRST)
    return step


async def call_inside_package(scene: Scene) -> StepRecord:
    """Use what is paid ahead."""
    step = StepRecord(
        step="d",
        title="Inside the open packages",
        about="What is paid ahead costs nothing more.",
    )
    await scene.call(step, PREPAID, expected.INSIDE)
    return step


async def call_across_border(scene: Scene) -> StepRecord:
    """Cross the input package's border."""
    step = StepRecord(
        step="e",
        title="Across a package's border",
        about="The call begins in the first input package and ends in the second: one step of $0.50.",
    )
    await scene.call(step, PREPAID, expected.ACROSS)
    return step


async def spend_everything(scene: Scene) -> StepRecord:
    """Spend the credit to the last unit; then nothing is affordable any more."""
    step = StepRecord(
        step="f",
        title="To the last unit",
        about="A call is held before it goes upstream: one that could cost more than there is never starts.",
    )
    await scene.call(step, PREPAID, expected.ACROSS_TWO)
    await scene.call(step, PREPAID, expected.LAST_PACKAGE)
    await scene.refused(
        step,
        PREPAID,
        name="a call that would need one package more",
        tokens=expected.TOO_LARGE,
        code="credit_balance_exhausted",
    )
    await scene.call(step, PREPAID, expected.REMAINDER)
    account = await scene.balance_once(PREPAID, lambda found: found.exhausted)
    step.check("exhausted", expected=True, found=account.exhausted)
    step.check("reserved", expected="0.00", found=account.reserved)
    await scene.refused(
        step, PREPAID, name="a few words, nothing left", tokens=expected.SMALL, code="credit_balance_exhausted"
    )
    return step


async def top_up(scene: Scene) -> StepRecord:
    """Give credit again; stream, and leave a stream in its middle."""
    step = StepRecord(
        step="g",
        title="A top-up, a stream, and a stream cut short",
        about="Streams are metered as they pass. Who leaves early is billed what the upstream made.",
    )
    await _grant(scene, step, amount=expected.TOP_UP, caller_id="walkthrough-top-up", balance="5.00")
    step.notes.append("for chunk in client.chat.completions.create(..., stream=True):")
    await scene.call(step, PREPAID, expected.STREAMED)
    await scene.call(step, PREPAID, expected.ABORTED)
    return step


async def _grant(scene: Scene, step: StepRecord, *, amount: str, caller_id: str, balance: str) -> None:
    """Give credit twice under one caller's id: it is given once."""
    path = f"/subscriptions/{scene.customers[PREPAID].subscription_id}/grants"
    wanted = {"amount": amount, "kind": "paid", "description": "Bought by card"}
    given = await scene.management.post(path, wanted, GrantView, caller_id=caller_id)
    again = await scene.management.post(path, wanted, GrantView, caller_id=caller_id)
    step.check("grant", expected=amount, found=given.amount)
    step.check("a repeated grant is the same grant", expected=given.grant_id, found=again.grant_id)
    account = await scene.balance(PREPAID)
    step.check("balance after the grant", expected=balance, found=account.balance)
    step.check("exhausted after the grant", expected=False, found=account.exhausted)
    step.notes.append(f"+ ${amount} of credit; balance ${account.balance}")
    step.facts = {"granted": amount, "balance_after_grant": account.balance}
