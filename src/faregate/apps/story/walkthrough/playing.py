"""Plays the walkthrough: what every step needs, and the order of the steps."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyreqwest.client import Client

from faregate.apps.story.calling import Caller, loopback_client
from faregate.apps.story.management import Management
from faregate.apps.story.seed import ROUTE
from faregate.apps.story.stack import Stack, running_stack
from faregate.apps.story.walkthrough.billing_steps import close_month, compare_books, fall_overdue, pay
from faregate.apps.story.walkthrough.opening_steps import apply_catalog, refuse_without_credit
from faregate.apps.story.walkthrough.postpaid_steps import call_without_credit
from faregate.apps.story.walkthrough.prepaid_steps import (
    call_across_border,
    call_first,
    call_inside_package,
    spend_everything,
    top_up,
)
from faregate.apps.story.walkthrough.record import StepRecord, WalkthroughRecord
from faregate.apps.story.walkthrough.scene import Scene

STEPS: Final[tuple[Callable[[Scene], Awaitable[StepRecord]], ...]] = (
    apply_catalog,
    refuse_without_credit,
    call_first,
    call_inside_package,
    call_across_border,
    spend_everything,
    top_up,
    call_without_credit,
    close_month,
    fall_overdue,
    pay,
    compare_books,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Who watches: `begun` is told what is going on, `shown` gets every step as it ends."""

    begun: Callable[[str], None]
    shown: Callable[[StepRecord], None]


async def play_walkthrough(data: Path, audience: Audience) -> WalkthroughRecord:
    """Start a stack in the new folder `data`, play every step, and return what was found.

    Raises:
        FaregateError: Something did not answer, or the management API refused what it should take.
    """
    started_s = time.monotonic()
    steps = []
    async with loopback_client() as client, running_stack(client, data=data, show=audience.begun) as stack:
        scene = _scene(client, stack, audience)
        for play in STEPS:
            step = await play(scene)
            steps.append(step)
            audience.shown(step)
        audience.begun("stopping")
    return WalkthroughRecord(
        ok=all(step.held for step in steps),
        checks=sum(len(step.checks) for step in steps),
        took_s=round(time.monotonic() - started_s, 2),
        steps=steps,
    )


def _scene(client: Client, stack: Stack, audience: Audience) -> Scene:
    return Scene(
        management=Management(client, origin=stack.api, token=stack.api_token),
        caller_for=lambda key: Caller(client, gateway=stack.gateway, key=key),
        upstream_url=f"{stack.upstream}/v1",
        base_url=f"{stack.gateway}{ROUTE}",
        begun=audience.begun,
    )
