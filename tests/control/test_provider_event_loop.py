import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from faregate.apps.control.counters import Counters
from faregate.apps.control.provider_events import ProviderEventLoop
from faregate.base.clock import SystemClock
from faregate.base.errors import Unavailable


class _Steps:
    """What the loop has done; `after` ends the test."""

    def __init__(self, *, polls: int = 0, works: int = 0) -> None:
        self.wanted = {"poll": polls, "work": works}
        self.done = {"poll": 0, "work": 0}
        self.enough = asyncio.Event()
        self.faults: dict[str, Exception] = {}

    def step(self, name: str) -> Callable[[], Awaitable[object]]:
        async def run() -> None:
            self.done[name] += 1
            if all(self.done[each] >= self.wanted[each] for each in self.done):
                self.enough.set()
            if name in self.faults:
                raise self.faults[name]

        return run


async def _run(steps: _Steps, loop: ProviderEventLoop, *, waking: bool) -> None:
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(10):
        while not steps.enough.is_set():
            if waking:
                loop.wake()
            await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _loop(steps: _Steps, counters: Counters, *, poll_every_s: float) -> ProviderEventLoop:
    return ProviderEventLoop(
        work=steps.step("work"),
        poll=steps.step("poll"),
        poll_every_s=poll_every_s,
        clock=SystemClock(),
        counters=counters,
    )


def test_what_came_is_worked_on_at_once_and_the_list_is_read_at_its_interval() -> None:
    async def run() -> dict[str, int]:
        steps = _Steps(works=50)
        await _run(steps, _loop(steps, Counters(), poll_every_s=3_600), waking=True)
        return steps.done

    done = asyncio.run(run())
    assert done["work"] >= 50
    assert done["poll"] == 1


def test_a_provider_that_is_away_and_a_fault_of_ours_end_nothing() -> None:
    async def run() -> int:
        steps = _Steps(works=3, polls=3)
        steps.faults = {"poll": Unavailable("away"), "work": RuntimeError("a bug")}
        counters = Counters()
        await _run(steps, _loop(steps, counters, poll_every_s=0), waking=True)
        return counters.ticks_failed

    assert asyncio.run(run()) >= 2
