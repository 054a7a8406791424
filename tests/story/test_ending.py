"""How a story ends before its end."""

import asyncio
import time

from pyreqwest.client import ClientBuilder

from faregate.apps.ports import claim_port
from faregate.apps.story.stack import _is_ready

TRIES = 20


def test_a_cancellation_that_comes_with_a_requests_failure_is_not_lost() -> None:
    async def scenario() -> None:
        nobody = f"http://127.0.0.1:{claim_port('127.0.0.1', 0)}/readyz"
        async with ClientBuilder().no_proxy().build() as client:
            for _ in range(TRIES):
                asking = asyncio.create_task(_is_ready(client, nobody))
                await asyncio.sleep(0)
                # The failure is there by now, and the loop has not seen it.
                time.sleep(0.01)  # noqa: ASYNC251 - that is the point
                had_ended = not asking.cancel()
                await asyncio.wait([asking])
                assert asking.cancelled() or had_ended

    asyncio.run(scenario())
