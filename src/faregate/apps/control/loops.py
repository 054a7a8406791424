"""The loops beside the requests: the billing tick, backfills, margins, and the pruning of the change feed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from faregate.apps.control.counters import Counters
from faregate.base.clock import Clock
from faregate.services.backfill import backfill_next
from faregate.services.keep_margins import MarginKeeper
from faregate.services.state_stream import forget_old_changes
from faregate.storage.database import Database

_log: Final = structlog.stdlib.get_logger()

TICK_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
PRUNE_EVERY_S: Final = 60.0


class Ticking:
    """Calls `tick` about every second; after failures ever more slowly."""

    def __init__(self, *, tick: Callable[[], Awaitable[object]], counters: Counters) -> None:
        self._tick = tick
        self._counters = counters

    async def run(self) -> None:
        """Tick until cancelled."""
        pause_s = TICK_S
        while True:
            try:
                await self._tick()
            except Exception:  # noqa: BLE001 - the next tick does what this one left
                self._counters.ticks_failed += 1
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
                _log.exception("tick.failed", retry_in_s=pause_s)
            else:
                pause_s = TICK_S
            await asyncio.sleep(pause_s)


async def fill_meters(database: Database, clock: Clock) -> None:
    """Go on with backfills, a slice at a time, until cancelled; others get their turns on the writing thread."""
    while True:
        try:
            busy = await database.write(lambda tx: backfill_next(tx, clock))
        except Exception:  # noqa: BLE001 - the next turn does what this one left
            _log.exception("backfill.failed")
            busy = False
        await asyncio.sleep(0 if busy else TICK_S)


async def keep_margins(database: Database, keeper: MarginKeeper, is_loaded: Callable[[], bool]) -> None:
    """Keep margins, a slice at a time, until cancelled; a slice a second while events wait to be metered."""
    while True:
        try:
            busy = await database.read(keeper.has_more) and await database.write(keeper.keep_next)
        except Exception:  # noqa: BLE001 - the next turn does what this one left
            _log.exception("margin.keeping_failed")
            busy = False
        await asyncio.sleep(0 if busy and not is_loaded() else TICK_S)


async def prune_state_changes(database: Database) -> None:
    """Prune the change feed about once a minute, until cancelled."""
    while True:
        await asyncio.sleep(PRUNE_EVERY_S)
        try:
            forgotten = await database.write(forget_old_changes)
        except Exception:  # noqa: BLE001 - the next minute does it
            _log.exception("state.prune_failed")
        else:
            if forgotten:
                _log.info("state.changes_pruned", forgotten=forgotten)
