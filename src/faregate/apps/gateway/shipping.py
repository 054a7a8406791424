"""What runs beside the calls: events on their way to the control plane, state on its way down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.holding import Holding
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.spool import Spool
from faregate.apps.gateway.state import GatewayState
from faregate.base.errors import Unauthorized, Unavailable
from faregate.base.failpoints import EVENTS_SHIPPED, EVENTS_UNSHIPPED, reach
from faregate.wire.gateway_protocol import Freed, Recall, Reset, StateMessage, StateSeen

_log = structlog.get_logger(__name__)

MOST_EVENTS: Final = 1_000
_GATHER_S: Final = 0.01
"""How long events gather before they are posted: a post costs as much as several calls."""

_MANY_EVENTS: Final = 20
_GATHER_MANY_S: Final = 0.06
"""The same since the last post began, where that one had many: usage stays readable within 100 ms."""

_BACKOFF_LEAST_S: Final = 0.05
_BACKOFF_MOST_S: Final = 5.0


class Shipper:
    """Posts events in the order of their sequence, one batch at a time, until each is acknowledged.

    Where somebody waits for what they free (`is_awaited`), they do not gather first.
    """

    def __init__(
        self,
        spool: Spool,
        control_plane: ControlPlane,
        *,
        metrics: GatewayMetrics,
        on_shipped: Callable[[], None],
        is_awaited: Callable[[], bool],
    ) -> None:
        self._spool = spool
        self._control_plane = control_plane
        self._metrics = metrics
        self._on_shipped = on_shipped
        self._is_awaited = is_awaited
        self._written = asyncio.Event()
        self._empty = asyncio.Event()
        self._advanced = asyncio.Event()
        self._hurried = asyncio.Event()
        spool.on_event = self._written.set

    def hurry(self) -> None:
        """Say that what was written last ends an account's credit: every gateway is to hear of it soon."""
        self._hurried.set()

    async def run(self) -> None:
        """Ship until cancelled."""
        backoff, loop = Backoff(), asyncio.get_running_loop()
        batch: list[tuple[int, bytes]] = []
        while True:
            if not batch:
                self._written.clear()
                batch = self._spool.read(MOST_EVENTS)
            if not batch:
                self._empty.set()
                await self._written.wait()
                self._empty.clear()
                await self._gather(loop.time() + _GATHER_S)
                continue
            posted_at_s = loop.time()
            reach(EVENTS_UNSHIPPED)
            urgent = self._hurried.is_set()
            self._hurried.clear()
            try:
                await self._control_plane.ship([event for _, event in batch], urgent=urgent)
            except (Unavailable, Unauthorized) as error:
                if urgent:
                    self._hurried.set()
                self._metrics.ship_failures += 1
                _log.warning("events.ship_failed", events=len(batch), error=str(error))
                await backoff.wait()
                continue
            backoff.reset()
            reach(EVENTS_SHIPPED)
            self._spool.acknowledge(batch[-1][0])
            self._advanced.set()
            self._metrics.events_shipped += len(batch)
            self._on_shipped()
            if _MANY_EVENTS <= len(batch) < MOST_EVENTS:
                await self._gather(posted_at_s + _GATHER_MANY_S)
            batch = []

    async def _gather(self, until_s: float) -> None:
        """Let events gather until then, or somebody waits for what they free, or they end an account's credit."""
        loop = asyncio.get_running_loop()
        while (left_s := until_s - loop.time()) > 0 and not self._is_awaited() and not self._hurried.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _GATHER_S)):
                    await self._hurried.wait()

    def ship_again(self, after: int) -> None:
        """Ship what the ledger does not have, though it had acknowledged it once, as far as the spool keeps it."""
        if after < self._spool.acknowledged:
            _log.error("events.shipped_again", after=after, acknowledged=self._spool.acknowledged)
            self._spool.rewind(after)
            self._written.set()

    async def emptied(self, within_s: float) -> bool:
        """Return whether everything was shipped in time."""
        try:
            async with asyncio.timeout(within_s):
                while self._spool.unshipped_events:
                    self._empty.clear()
                    self._written.set()
                    await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def shipped_through(self, sequence: int) -> None:
        """Return when all events up to that one are acknowledged."""
        while self._spool.acknowledged < sequence:
            self._advanced.clear()
            await self._advanced.wait()


class StateFollower:
    """Keeps the state in step with the control plane; on a broken stream it goes on from the last version."""

    def __init__(
        self,
        state: GatewayState,
        control_plane: ControlPlane,
        *,
        holding: Holding,
        on_generation: Callable[[int], None],
        gateway_id: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._state = state
        self._holding = holding
        self._on_generation = on_generation
        self._gateway_id = gateway_id
        self._said: int | None = None
        self._control_plane = control_plane
        self._now_ms = now_ms
        self.heard_at_ms: int | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        backoff = Backoff()
        while True:
            try:
                self._said = None
                async for message in self._control_plane.state(
                    self._state.version, self._gateway_id, generation=self._state.generation
                ):
                    backoff.reset()
                    self.heard_at_ms = self._now_ms()
                    await self._take(message)
            except (Unavailable, Unauthorized) as error:
                _log.warning("state.stream_lost", error=str(error))
            self._state.abandon_reset()
            await backoff.wait()

    async def _take(self, message: StateMessage | None) -> None:
        match message:
            case None:
                _log.warning("state.message_unknown")
            case Recall():
                self._holding.recall(message.subscription_id)
            case Freed():
                self._holding.freed(message.subscription_id)
            case _:
                self._state.apply(message)
                if isinstance(message, Reset):
                    self._on_generation(message.generation)
                await self._say_seen()

    async def _say_seen(self) -> None:
        """Say how far the state has come, once a version: operators' changes are answered after that."""
        version = self._state.version
        if version is None or version == self._said:
            return
        self._said = version
        try:
            await self._control_plane.seen(StateSeen(gateway_id=self._gateway_id, version=version))
        except (Unavailable, Unauthorized) as error:
            # Operators' changes are answered a little later; the state itself is here.
            _log.warning("state.seen_unsaid", error=str(error))

    def age_ms(self) -> int | None:
        """Return how long ago the control plane was heard, or None if never."""
        return None if self.heard_at_ms is None else self._now_ms() - self.heard_at_ms


class Backoff:
    """Waits that double from 50 ms to 5 s, each with jitter."""

    def __init__(self) -> None:
        self._next_s = _BACKOFF_LEAST_S

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next_s = _BACKOFF_LEAST_S

    async def wait(self) -> None:
        """Wait, longer each time."""
        await asyncio.sleep(self._next_s * (0.5 + random.random()))  # noqa: S311 - jitter
        self._next_s = min(2 * self._next_s, _BACKOFF_MOST_S)
