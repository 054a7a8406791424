"""`GET /gateway/v1/state`: gateways hear of changes within milliseconds of their commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec
import structlog

from faregate.services.state_stream import StateBurst, for_dialects, state_after
from faregate.storage.database import Database, Transaction
from faregate.storage.state_feed import latest_version
from faregate.wire.gateway_protocol import StateSeen, UpToDate

_log: Final = structlog.stdlib.get_logger()

HEARTBEAT_S: Final = 5.0
_RETRY_S: Final = 1.0

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(slots=True, kw_only=True)
class _Subscriber:
    gateway_id: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A gateway that asks for state: all after a version (0: everything), of routes whose dialects it can meter."""

    gateway_id: str
    after: int
    dialects: Collection[str]


class StateFeed:
    """Follows the newest version for all subscribers, so that a commit that changes no state costs one small read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._woken = asyncio.Event()
        self._moved = asyncio.Condition()
        self._closed = False
        self._seen: dict[object, _Subscriber] = {}
        self.version = 0

    def wake(self) -> None:
        """Say, in the event loop, that something was committed."""
        self._woken.set()

    async def run(self) -> None:
        """Follow the commits until cancelled."""
        self.wake()
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                version = await self._database.read(latest_version)
            except Exception:  # noqa: BLE001 - repeated, whatever it was
                _log.exception("state.read_failed")
                await asyncio.sleep(_RETRY_S)
                self.wake()
                continue
            if version != self.version:
                async with self._moved:
                    self.version = version
                    self._moved.notify_all()

    async def close(self) -> None:
        """End all streams, so that their subscribers go elsewhere."""
        async with self._moved:
            self._closed = True
            self._moved.notify_all()

    @property
    def subscribers(self) -> int:
        """Return how many gateways follow the state."""
        return len(self._seen)

    async def note_seen(self, seen: StateSeen) -> None:
        """Note that a gateway decides by the state of a version."""
        async with self._moved:
            for subscriber in self._seen.values():
                if subscriber.gateway_id == seen.gateway_id:
                    subscriber.version = max(subscriber.version, seen.version)
            self._moved.notify_all()

    async def reach_gateways(self, within_s: float) -> bool:
        """Wait until every connected gateway has what is committed now; return whether it was so in time."""
        version = await self._database.read(latest_version)
        try:
            async with asyncio.timeout(within_s), self._moved:
                await self._moved.wait_for(lambda: self._closed or self._is_seen(version))
        except TimeoutError:
            return False
        return True

    async def stream(self, follower: Follower) -> AsyncIterator[bytes]:
        """Yield lines of state messages, with a heartbeat, until the feed is closed."""
        ticket = object()
        self._seen[ticket] = _Subscriber(gateway_id=follower.gateway_id, version=follower.after)
        try:
            version, dialects = follower.after, follower.dialects
            burst = await self._database.read(partial(_encoded, version=version, dialects=dialects))
            while not self._closed:
                lines, version = burst
                yield lines
                if self.version <= version and not await self._moves_beyond(version):
                    burst = (_lines(StateBurst(messages=[UpToDate(version=version)], version=version)), version)
                    continue
                burst = await self._database.read(partial(_encoded, version=version, dialects=dialects))
        finally:
            del self._seen[ticket]

    def _is_seen(self, version: int) -> bool:
        return all(subscriber.version >= version for subscriber in self._seen.values())

    async def _moves_beyond(self, version: int) -> bool:
        try:
            async with asyncio.timeout(HEARTBEAT_S), self._moved:
                await self._moved.wait_for(lambda: self._closed or self.version > version)
        except TimeoutError:
            return False
        return True


def _encoded(transaction: Transaction, *, version: int, dialects: Collection[str]) -> tuple[bytes, int]:
    burst = for_dialects(state_after(transaction, version), dialects)
    return _lines(burst), burst.version


def _lines(burst: StateBurst) -> bytes:
    return _ENCODER.encode_lines(burst.messages)
