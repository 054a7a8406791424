"""Group commit: what concurrent requests bring is appended in one transaction, and acknowledged after its commit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from faregate.base.clock import Clock
from faregate.base.errors import Unavailable
from faregate.base.failpoints import EVENTS_COMMITTED, EVENTS_LOGGED, reach
from faregate.services.ingest import append_events
from faregate.storage.database import Database, Transaction

_log: Final = structlog.stdlib.get_logger()

QUEUED_BYTES: Final = 64 << 20
"""What may wait for its commit; beyond it callers are told to come back."""

COMMIT_EVENTS: Final = 5_000
"""About how many events share one commit; a larger batch is still written whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    application_id: str
    bodies: Sequence[bytes]
    size_bytes: int
    committed: asyncio.Future[None]


class Intake:
    """The queue before the event log. `after_commit` is told, in the event loop, how many events were committed."""

    def __init__(self, *, database: Database, clock: Clock, after_commit: Callable[[int], None]) -> None:
        self._database = database
        self._clock = clock
        self._after_commit = after_commit
        self._waiting: deque[_Batch] = deque()
        self._arrived = asyncio.Event()
        self.queued_bytes = 0

    async def append(self, application_id: str, bodies: Sequence[bytes]) -> None:
        """Return once the events are durable.

        Raises:
            Unavailable: Too much is waiting, or the commit failed: nothing was kept, and repeating is safe.
        """
        if not bodies:
            return
        size_bytes = sum(map(len, bodies))
        if self.queued_bytes + size_bytes > QUEUED_BYTES and self._waiting:
            raise Unavailable("the intake queue is full; send the batch again")
        committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(
            _Batch(application_id=application_id, bodies=bodies, size_bytes=size_bytes, committed=committed)
        )
        self.queued_bytes += size_bytes
        self._arrived.set()
        await committed

    async def run(self) -> None:
        """Commit what arrives, until cancelled."""
        while True:
            await self._arrived.wait()
            while group := self._take():
                await self._commit(group)
            self._arrived.clear()

    def _take(self) -> list[_Batch]:
        group: list[_Batch] = []
        events = 0
        while self._waiting and events < COMMIT_EVENTS:
            batch = self._waiting.popleft()
            group.append(batch)
            events += len(batch.bodies)
        return group

    async def _commit(self, group: list[_Batch]) -> None:
        now = self._clock.now()

        def append(transaction: Transaction) -> None:
            for batch in group:
                append_events(transaction, application_id=batch.application_id, bodies=batch.bodies, now=now)
            reach(EVENTS_LOGGED)

        try:
            await self._database.write(append)
        except Exception:  # noqa: BLE001 - the callers are told, and repeat
            _log.exception("intake.failed", events=sum(len(batch.bodies) for batch in group))
            self._finish(group, Unavailable("the events could not be stored; send the batch again"))
        else:
            reach(EVENTS_COMMITTED)
            self._finish(group, None)
            self._after_commit(sum(len(batch.bodies) for batch in group))

    def _finish(self, group: list[_Batch], failure: Unavailable | None) -> None:
        for batch in group:
            self.queued_bytes -= batch.size_bytes
            if batch.committed.done():
                continue
            if failure is None:
                batch.committed.set_result(None)
            else:
                batch.committed.set_exception(failure)
