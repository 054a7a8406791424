"""Answers lease requests that come together in one transaction: near zero they are many, and share what one costs."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from faregate.base.clock import Clock
from faregate.base.failpoints import LEASE_COMMITTED, reach
from faregate.services.gateway_calls import lease_units
from faregate.storage.database import Database, Transaction
from faregate.wire.gateway_protocol import LeaseAnswer, LeaseRequest

_log: Final = structlog.stdlib.get_logger()

TOGETHER: Final = 32
"""Requests of one transaction: the writing thread's others get their turn within a tenth of a second."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    request: LeaseRequest
    answered: asyncio.Future[LeaseAnswer]


class LeaseDesk:
    """The queue of lease requests. `gateways` says how many are connected."""

    def __init__(self, *, database: Database, clock: Clock, gateways: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._gateways = gateways
        self._waiting: deque[_Asked] = deque()
        self._serving: asyncio.Task[None] | None = None

    async def answer(self, request: LeaseRequest) -> LeaseAnswer:
        """Return the answer after its durable commit; raises as `lease_units`, without an effect on others."""
        loop = asyncio.get_running_loop()
        asked = _Asked(request, loop.create_future())
        self._waiting.append(asked)
        if self._serving is None:
            self._serving = loop.create_task(self._serve())
        return await asked.answered

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await self._answer([self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))])
        finally:
            self._serving = None

    async def _answer(self, together: list[_Asked]) -> None:
        try:
            answers = await self._database.write(partial(self._lease, [asked.request for asked in together]))
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            if len(together) > 1:
                # Nothing was kept of any: each is answered for itself, and what is wrong with one is its own.
                _log.warning("leases.answered_singly", requests=len(together), error=str(error))
                for asked in together:
                    await self._answer([asked])
            elif not together[0].answered.done():
                together[0].answered.set_exception(error)
            return
        if any(answer.leases for answer in answers):
            reach(LEASE_COMMITTED)
        for asked, answer in zip(together, answers, strict=True):
            if not asked.answered.done():
                asked.answered.set_result(answer)

    def _lease(self, requests: Sequence[LeaseRequest], transaction: Transaction) -> list[LeaseAnswer]:
        return lease_units(transaction, requests, self._clock, gateways=max(1, self._gateways()))
