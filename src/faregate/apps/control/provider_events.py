"""The loop that keeps up with the billing provider: what webhooks bring, at once; what they do not, by its own list."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from faregate.apps.control.counters import Counters
from faregate.apps.control.loops import TICK_S
from faregate.base.clock import Clock
from faregate.base.errors import Unavailable

_log: Final = structlog.stdlib.get_logger()

_MS: Final = 1_000
_READ_AFTER: Final = 0.8
"""Of the interval: what happened just after a reading is to have its effect within it, reading and work included."""


class ProviderEventLoop:
    """Works on events when woken, and once a second; what the list of events tells has its effect in `poll_every_s`."""

    def __init__(
        self,
        *,
        work: Callable[[], Awaitable[object]],
        poll: Callable[[], Awaitable[object]],
        poll_every_s: float,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._work = work
        self._poll = poll
        self._poll_every_ms = int(poll_every_s * _MS * _READ_AFTER)
        self._clock = clock
        self._counters = counters
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Have events worked on now: some came."""
        self._wake.set()

    async def run(self) -> None:
        """Keep up until cancelled; what fails is done by a later turn."""
        poll_at_ms = self._clock.steady_ms()
        while True:
            self._wake.clear()
            if self._clock.steady_ms() >= poll_at_ms:
                poll_at_ms = self._clock.steady_ms() + self._poll_every_ms
                await self._attempt(self._poll, "provider_events.poll_failed")
            await self._attempt(self._work, "provider_events.work_failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()

    async def _attempt(self, step: Callable[[], Awaitable[object]], failure: str) -> None:
        try:
            await step()
        except Unavailable as error:
            _log.warning(failure, error=error.message)
        except Exception:  # noqa: BLE001 - a later turn does what this one left
            self._counters.ticks_failed += 1
            _log.exception(failure)
