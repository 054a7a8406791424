"""`GET /gateway/v1/state`: gateways hear of changes within milliseconds of their commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
import structlog

from faregate.apps.control.recalls import Recalls
from faregate.services.state_stream import StateBurst, for_dialects, newest_generation, state_after
from faregate.storage.database import Database, Transaction
from faregate.storage.ledger import read_credit
from faregate.storage.state_feed import latest_version
from faregate.wire.gateway_protocol import Freed, Recall, StateSeen, UpToDate

_log: Final = structlog.stdlib.get_logger()

HEARTBEAT_S: Final = 5.0
_RETRY_S: Final = 1.0
_CALLED_BACK_WITHIN_S: Final = 0.3
_LOOK_EVERY_S: Final = 0.01

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(slots=True, kw_only=True)
class _Subscriber:
    """`version`: what the gateway decides by. `notes`: what it is told beside the state, each once, in order."""

    gateway_id: str
    version: int
    notes: dict[Recall | Freed, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A gateway that asks for state: all after a version (0: everything), of routes whose dialects it can meter."""

    gateway_id: str
    after: int
    generation: int
    dialects: Collection[str]


class StateFeed:
    """Follows the newest version for all subscribers, so that a commit that changes no state costs one small read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._woken = asyncio.Event()
        self._moved = asyncio.Condition()
        self._closed = False
        self._seen: dict[object, _Subscriber] = {}
        self._recalls = Recalls()
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
                version, credit = await self._database.read(partial(_news, awaited=self._recalls.awaited()))
            except Exception:  # noqa: BLE001 - repeated, whatever it was
                _log.exception("state.read_failed")
                await asyncio.sleep(_RETRY_S)
                self.wake()
                continue
            freed = self._recalls.changed(credit, now_s=asyncio.get_running_loop().time())
            if version != self.version or freed:
                async with self._moved:
                    self.version = version
                    for subscription_id, gateways in freed.items():
                        self._note(Freed(subscription_id=subscription_id), gateways)
                    self._moved.notify_all()

    async def recall(self, subscription_id: str, *, for_gateway: str) -> None:
        """Ask all other gateways for what they have idle of an account, and tell this one when its credit changes."""
        if self._recalls.note(subscription_id, for_gateway, now_s=asyncio.get_running_loop().time()):
            await self._recall(subscription_id, but=for_gateway)
        self.wake()

    async def call_back(self, subscription_id: str) -> None:
        """Ask all gateways for what they have idle of an account, and wait for it, for a bounded time.

        What running calls hold stays out. Credit that is taken away after this is credit that nobody leans on.
        """
        within_s = asyncio.get_running_loop().time() + _CALLED_BACK_WITHIN_S
        is_asked = False
        while await self._database.read(partial(_is_reserved, subscription_id=subscription_id)):
            if not is_asked:
                is_asked = True
                await self._recall(subscription_id)
            if not self._seen or asyncio.get_running_loop().time() >= within_s:
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def close(self) -> None:
        """End all streams, so that their subscribers go elsewhere."""
        async with self._moved:
            self._closed = True
            self._moved.notify_all()

    @property
    def subscribers(self) -> int:
        """Return how many gateways follow the state."""
        return len(self._seen)

    @property
    def gateways(self) -> int:
        """Return how many different gateways follow the state."""
        return len(self.gateway_ids())

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
        subscriber = self._seen[ticket] = _Subscriber(gateway_id=follower.gateway_id, version=follower.after)
        encoded = partial(_encoded, dialects=follower.dialects)
        try:
            lines, version = await self._database.read(partial(_caught_up, follower=follower))
            while not self._closed:
                yield lines
                await self._has_news(subscriber, version)
                if subscriber.notes:
                    lines = _ENCODER.encode_lines(list(subscriber.notes))
                    subscriber.notes.clear()
                elif self.version > version:
                    lines, version = await self._database.read(partial(encoded, version=version))
                else:
                    lines = _lines(StateBurst(messages=[UpToDate(version=version)], version=version))
        finally:
            del self._seen[ticket]

    async def _recall(self, subscription_id: str, *, but: str | None = None) -> None:
        async with self._moved:
            self._note(Recall(subscription_id=subscription_id), self.gateway_ids() - {but})
            self._moved.notify_all()

    def _note(self, note: Recall | Freed, gateways: AbstractSet[str]) -> None:
        for subscriber in self._seen.values():
            if subscriber.gateway_id in gateways:
                subscriber.notes[note] = None

    def gateway_ids(self) -> set[str]:
        """Return the gateways that follow the state."""
        return {subscriber.gateway_id for subscriber in self._seen.values()}

    def _is_seen(self, version: int) -> bool:
        return all(subscriber.version >= version for subscriber in self._seen.values())

    async def _has_news(self, subscriber: _Subscriber, version: int) -> None:
        """Return when there is something to say, after a heartbeat's time at the latest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HEARTBEAT_S), self._moved:
                await self._moved.wait_for(lambda: self._closed or self.version > version or subscriber.notes)


def _is_reserved(transaction: Transaction, *, subscription_id: str) -> bool:
    _, reserved = read_credit(transaction, [subscription_id]).get(subscription_id, (0, 0))
    return reserved != 0


def _news(transaction: Transaction, *, awaited: list[str]) -> tuple[int, dict[str, tuple[int, int]]]:
    return latest_version(transaction), read_credit(transaction, awaited) if awaited else {}


def _caught_up(transaction: Transaction, *, follower: Follower) -> tuple[bytes, int]:
    """Versions of a ledger that was restored are not those that the gateway has seen."""
    is_same = newest_generation(transaction) == follower.generation
    return _encoded(transaction, version=follower.after if is_same else 0, dialects=follower.dialects)


def _encoded(transaction: Transaction, *, version: int, dialects: Collection[str]) -> tuple[bytes, int]:
    burst = for_dialects(state_after(transaction, version), dialects)
    return _lines(burst), burst.version


def _lines(burst: StateBurst) -> bytes:
    return _ENCODER.encode_lines(burst.messages)
