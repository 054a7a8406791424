"""`POST /gateway/v1/rates`: gives out what gateways may use of limits per minute. Shares live in memory alone.

A desk that is new knows nothing of what gateways hold. So a report to its predecessor is answered with its own name
alone, whereupon the gateway says all that it holds; and nobody gets a share before every gateway that was lately heard
of has reported, or a few seconds have passed. A gateway that knows of such a limit reports every second.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

from faregate.apps.control.state_feed import StateFeed
from faregate.base.clock import Clock
from faregate.base.ids import new_id
from faregate.domain.limits.shares import SharedLimit
from faregate.storage.database import Database, Transaction
from faregate.storage.limits import gateways_seen_since, rate_limits
from faregate.storage.state_feed import latest_version
from faregate.wire.limit_protocol import RateReport, RateShare, RateShares, RateUse

_SEEN_WITHIN: Final = timedelta(days=1)
_GATHER_S: Final = 3.0
_SWEEP_EVERY_S: Final = 30.0


class RateDesk:
    """All shared limits, by limit and subject."""

    def __init__(self, *, database: Database, clock: Clock, feed: StateFeed) -> None:
        self._database = database
        self._clock = clock
        self._feed = feed
        self._name = new_id("desk")
        self._shared: dict[tuple[str, str], SharedLimit] = {}
        self._amounts: dict[str, int] = {}
        self._amounts_at = -1
        self._latest: dict[str, tuple[int, int]] = {}
        self._heard: set[str] = set()
        self._moved = asyncio.Condition()
        self._ready = False

    async def answer(self, report: RateReport) -> RateShares:
        """Take a report and answer its shares."""
        if report.desk not in {"", self._name}:
            return RateShares(desk=self._name, gateways=self._feed.subscribers)
        if not self._ready:
            await self._gather(report)
        if report.uses:
            await self._read_amounts()
        shares = [] if self._is_overtaken(report) else [self._share(report, use) for use in report.uses]
        return RateShares(desk=self._name, gateways=self._feed.subscribers, shares=shares)

    def note_opened(self, gateway_id: str) -> None:
        """Note that a process has just begun: it holds nothing."""
        self._heard.add(gateway_id)

    async def run(self) -> None:
        """Forget gateways that are gone, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            now_ms = self._clock.steady_ms()
            for key, shared in list(self._shared.items()):
                shared.sweep(now_ms)
                if shared.is_idle:
                    del self._shared[key]

    def _share(self, report: RateReport, use: RateUse) -> RateShare:
        share = self._ask(report, use, amount=self._amounts.get(use.limit_id, 0))
        if self._shared[use.limit_id, use.subject_id].is_idle:
            del self._shared[use.limit_id, use.subject_id]
        return share

    def _ask(self, report: RateReport, use: RateUse, *, amount: int) -> RateShare:
        key = use.limit_id, use.subject_id
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = SharedLimit()
        share = shared.ask(
            (report.gateway_id, report.epoch),
            amount=amount,
            holds=use.holds,
            used=use.used,
            wanted=use.wanted,
            now_ms=self._clock.steady_ms(),
        )
        return RateShare(
            limit_id=use.limit_id, subject_id=use.subject_id, share=share.units, used_elsewhere=share.used_elsewhere
        )

    def _is_overtaken(self, report: RateReport) -> bool:
        """Return whether the gateway has sent a later report, by which it acts."""
        this, latest = (report.epoch, report.number), self._latest.get(report.gateway_id)
        if latest is not None and this < latest:
            return True
        self._latest[report.gateway_id] = this
        return False

    async def _gather(self, report: RateReport) -> None:
        """Note what the gateway holds and has used; then wait for the others that may hold shares."""
        for use in report.uses:
            self._ask(report, use, amount=use.holds)
        async with self._moved:
            self._heard.add(report.gateway_id)
            self._moved.notify_all()
        since = self._clock.now() - _SEEN_WITHIN
        expected = await self._database.read(lambda tx: gateways_seen_since(tx, since))
        with suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_S), self._moved:
                await self._moved.wait_for(lambda: self._ready or expected <= self._heard)
        async with self._moved:
            self._ready = True
            self._moved.notify_all()

    async def _read_amounts(self) -> None:
        if self._amounts_at != self._feed.version:
            self._amounts_at, self._amounts = await self._database.read(_read_amounts)


def _read_amounts(transaction: Transaction) -> tuple[int, dict[str, int]]:
    amounts = {owned.limit.limit_id: int(owned.limit.amount) for owned in rate_limits(transaction, None)}
    return latest_version(transaction), amounts
