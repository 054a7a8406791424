"""The loop that keeps the catalog at the billing provider in step, and looks for what was changed there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from faregate.apps.control.counters import Counters
from faregate.apps.control.loops import TICK_S
from faregate.base.clock import Clock
from faregate.domain.billing.provider_catalog import CatalogProvider
from faregate.services.catalog_drift import look_for_drift
from faregate.services.sync_catalog import sync_catalog
from faregate.storage.database import Database

_log: Final = structlog.stdlib.get_logger()

LOOK_EVERY_S: Final = 300
_LONGEST_PAUSE_S: Final = 60.0
_LEAVE_S: Final = 5.0


class CatalogLoop:
    """Sends changes about a second after they are made; looks for drift every `LOOK_EVERY_S`."""

    def __init__(self, *, database: Database, provider: CatalogProvider, clock: Clock, counters: Counters) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._counters = counters
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run until `stop`; what is being sent is sent to its end."""
        pause_s, look_in_s = TICK_S, float(LOOK_EVERY_S)
        while not await self._stopped_within(pause_s):
            look_in_s -= pause_s
            is_to_look = look_in_s <= 0
            pause_s = TICK_S if await self._try(self._sync) else min(pause_s * 2, _LONGEST_PAUSE_S)
            if is_to_look and await self._try(self._look):
                look_in_s = LOOK_EVERY_S

    async def stop(self, task: asyncio.Task[None]) -> None:
        """End `task`, which runs this: at once after what it is sending, or else in a few seconds."""
        self._stopping.set()
        _, still = await asyncio.wait([task], timeout=_LEAVE_S)
        if still:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sync(self) -> None:
        await sync_catalog(self._database, self._provider, self._clock)

    async def _look(self) -> None:
        await look_for_drift(self._database, self._provider, self._clock)

    async def _try(self, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the next turn does what this one left
            self._counters.ticks_failed += 1
            _log.exception("catalog.turn_failed")
            return False
        return True

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()
