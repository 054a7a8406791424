"""`GET /gateway/v1/state`: gateways hear of changes within milliseconds of their commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import msgspec
import structlog

from faregate.services.state_stream import StateBurst, state_after
from faregate.storage.database import Database, Transaction
from faregate.storage.state_feed import latest_version
from faregate.wire.gateway_protocol import UpToDate

_log: Final = structlog.stdlib.get_logger()

HEARTBEAT_S: Final = 5.0
_RETRY_S: Final = 1.0

_ENCODER: Final = msgspec.json.Encoder()


class StateFeed:
    """Follows the newest version for all subscribers, so that a commit that changes no state costs one small read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._woken = asyncio.Event()
        self._moved = asyncio.Condition()
        self._closed = False
        self.version = 0
        self.subscribers = 0

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

    async def stream(self, after: int) -> AsyncIterator[bytes]:
        """Yield lines of state messages from `after` on, with a heartbeat, until the feed is closed."""
        self.subscribers += 1
        try:
            version = after
            burst = await self._database.read(partial(_encoded, version=version))
            while not self._closed:
                lines, version = burst
                yield lines
                if self.version <= version and not await self._moves_beyond(version):
                    burst = (_lines(StateBurst(messages=[UpToDate(version=version)], version=version)), version)
                    continue
                burst = await self._database.read(partial(_encoded, version=version))
        finally:
            self.subscribers -= 1

    async def _moves_beyond(self, version: int) -> bool:
        try:
            async with asyncio.timeout(HEARTBEAT_S), self._moved:
                await self._moved.wait_for(lambda: self._closed or self.version > version)
        except TimeoutError:
            return False
        return True


def _encoded(transaction: Transaction, *, version: int) -> tuple[bytes, int]:
    burst = state_after(transaction, version)
    return _lines(burst), burst.version


def _lines(burst: StateBurst) -> bytes:
    return _ENCODER.encode_lines(burst.messages)
