"""The loop that applies the event log: meters, rates and debits what was accepted, batch after batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from faregate.base.failpoints import BATCH_COMMITTED, reach
from faregate.base.limits import APPLY_BATCH_EVENTS
from faregate.services.apply_events import EventApplier
from faregate.services.bounds import Bounds, merge_bounds
from faregate.storage.database import Database, Transaction
from faregate.storage.events import consumer_position, log_head

_log: Final = structlog.stdlib.get_logger()

CONTENDED_BATCH_EVENTS: Final = 1_000
"""Events of a batch while others wait for the writing thread: their turn comes within a tenth of a second."""

_GATHER_S: Final = 0.025
"""How long events gather since the last batch, so that a steady trickle is applied in few batches."""

_GATHER_MANY_S: Final = 0.2
"""The same while many come: then a batch's fixed costs are shared by more of them."""

_MANY_EVENTS_PER_S: Final = 1_000
_SHORTEST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    applied: int
    position: int
    bounds: Bounds


class Applying:
    """Woken after every commit of the intake. A batch is one turn on the writing thread; others get theirs between.

    `is_contended` says whether others wait now. What they wait for, an acknowledgement or a lease, is more urgent than
    the books, so batches are short then: under load metering falls behind before intake does.
    """

    def __init__(self, *, database: Database, applier: EventApplier, is_contended: Callable[[], bool]) -> None:
        self._database = database
        self._applier = applier
        self._is_contended = is_contended
        self._woken = asyncio.Event()
        self._urgent = asyncio.Event()
        self._moved = asyncio.Condition()
        self.position = 0
        """Everything up to this position of the log is applied."""
        self.behind = 0
        """How many events this process has logged and not yet applied."""
        self.bounds: Bounds = {}
        """What calls held and used, since the process started."""
        self.failing = False
        """Whether the last attempt failed; it is repeated."""

    def wake(self, added: int = 0) -> None:
        """Say that there may be new events, and how many this process has added."""
        self.behind += added
        if self.behind >= APPLY_BATCH_EVENTS:
            self._urgent.set()
        self._woken.set()

    async def run(self) -> None:
        """Apply what is in the log and what arrives, until cancelled."""
        pause_s = _SHORTEST_PAUSE_S
        drained_at_s, gather_s = 0.0, _GATHER_S
        loop = asyncio.get_running_loop()
        self.wake()
        while True:
            await self._woken.wait()
            await self._gather(until_s=drained_at_s + gather_s)
            self._woken.clear()
            try:
                applied = await self._drain()
                since_s, drained_at_s = drained_at_s, loop.time()
                is_many = applied > _MANY_EVENTS_PER_S * (drained_at_s - since_s)
                gather_s = _GATHER_MANY_S if is_many else _GATHER_S
            except Exception:  # noqa: BLE001 - repeated, whatever it was
                _log.exception("apply.failed", retry_in_s=pause_s)
                self.failing = True
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                self.wake()
            else:
                self.failing = False
                pause_s = _SHORTEST_PAUSE_S

    def hurry(self) -> None:
        """Say that a decision hangs on what is logged: it is applied without gathering more."""
        self._urgent.set()
        self.wake()

    async def catch_up(self, within_s: float) -> bool:
        """Wait until everything that is in the log now is applied; return whether that was so within the time."""
        head = await self._database.read(log_head)
        if self.position >= head:
            return True
        self.hurry()
        try:
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self.position >= head)
        except TimeoutError:
            return False
        return True

    async def reach(self, is_reached: Callable[[Transaction], bool], within_s: float) -> bool:
        """Wait until what was applied makes `is_reached` true; return whether that was so within the time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    before = self.position
                    if await self._database.read(is_reached):
                        return True
                    self._urgent.set()
                    async with self._moved:
                        await self._moved.wait_for(partial(self._is_past, before))
        except TimeoutError:
            return False

    async def keep_up(self, most_behind: int, within_s: float) -> None:
        """Wait until at most so many events are behind, or for a time: who sends faster than is metered is slowed."""
        if self.behind <= most_behind:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self.behind <= most_behind)

    def _is_past(self, position: int) -> bool:
        return self.position > position

    async def _gather(self, *, until_s: float) -> None:
        """Let events gather under a steady load: a batch costs as much as a hundred events. The first is never held.

        Nor is any while somebody waits for what it may free, or when a whole batch is there.
        """
        rest_s = until_s - asyncio.get_running_loop().time()
        if rest_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._urgent.wait()
        self._urgent.clear()

    async def _drain(self) -> int:
        """Apply all that is logged now; return how many events. What is logged meanwhile wakes the next turn."""
        applied = 0
        while True:
            most = CONTENDED_BATCH_EVENTS if self._is_contended() else APPLY_BATCH_EVENTS
            step = await self._database.write(partial(self._apply_next, most=most))
            applied += step.applied
            merge_bounds(self.bounds, step.bounds)
            if step.applied:
                reach(BATCH_COMMITTED)
            if step.position != self.position:
                async with self._moved:
                    self.position = step.position
                    self.behind = max(0, self.behind - step.applied)
                    self._moved.notify_all()
            if step.applied < most:
                return applied

    def _apply_next(self, transaction: Transaction, *, most: int) -> _Step:
        applied = self._applier.apply_next(transaction, most=most)
        return _Step(applied=applied, position=consumer_position(transaction), bounds=self._applier.bounds)
