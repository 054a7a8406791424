"""Limits per minute: each call is counted here and now, within the share of the limit that this gateway was given.

Counting is a memory operation. Where a call would exceed the share, it waits for the control plane's answer once, since
there may be more; who is refused makes the next share larger. One report to the control plane is under way at a time.
Cut off from it, the gateway goes on with what it has, and with an equal part where it has nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final
from weakref import WeakValueDictionary

import structlog

from faregate.apps.gateway.control_plane import ControlPlane
from faregate.base.clock import Clock
from faregate.base.errors import Unauthorized, Unavailable
from faregate.domain.limits.limit import Measure
from faregate.domain.limits.window import WINDOW_S, SlidingWindow
from faregate.wire.limit_protocol import LimitState, RateReport, RateShare, RateUse

_log = structlog.get_logger(__name__)

_REPORT_EVERY_MS: Final = 1_000
_RENEW_EVERY_MS: Final = 10_000
MOST_USES: Final = 4_000
"""Subjects of one report, which the control plane takes up to a megabyte of."""

_DENIED_MS: Final = 250
"""How long a refusal by the control plane stands, before a call asks again."""


class Rate:
    """One limit and subject, as this gateway counts it. `share`: what may be used of any minute.

    `unmet`: units that calls wanted in vain since the last report; `most`: the largest call of late.
    """

    __slots__ = (
        "__weakref__",
        "amount",
        "denied_until_ms",
        "key",
        "measure",
        "most",
        "name",
        "reported",
        "reported_ms",
        "share",
        "unmet",
        "used_elsewhere",
        "waiting",
        "window",
    )

    def __init__(self, key: tuple[str, str], now_ms: int) -> None:
        self.key = key
        self.name = ""
        self.measure = Measure.REQUESTS
        self.amount = 0
        self.window = SlidingWindow(now_ms // 1_000)
        self.share = self.used_elsewhere = self.unmet = self.most = 0
        self.denied_until_ms = 0
        self.waiting: list[asyncio.Future[None]] = []
        self.reported: tuple[int, int, int] = (0, 0, 0)
        self.reported_ms: int | None = None

    def remaining(self) -> int:
        """Return what is left of the limit, by what is known of the other gateways."""
        return max(0, self.amount - self.window.used - self.used_elsewhere)

    def retry_in_s(self, units: int) -> int:
        """Return when so many units are free again; where others use the limit, when they are on average."""
        here = self.window.frees_in_s(self.window.used + units - self.share)
        if here and self.window.used + units - self.share <= self.window.used:
            return here
        return max(1, min(WINDOW_S, -(-WINDOW_S * units // self.amount)))

    def wants(self) -> int:
        """Return what would be used of a minute: with a little beyond what is used, so that calls need not wait."""
        used, unmet = self.window.used, self.unmet
        return used + unmet + (used // 4 + self.most if used or unmet else 0)


class Rates:
    """All limits per minute. `identity` gives gateway id and epoch, or None while no epoch is open."""

    def __init__(
        self, control_plane: ControlPlane, *, identity: Callable[[], tuple[str, int] | None], clock: Clock
    ) -> None:
        self._control_plane = control_plane
        self._identity = identity
        self.now_ms = clock.steady_ms
        """What minutes are counted by."""
        self._rates: WeakValueDictionary[tuple[str, str], Rate] = WeakValueDictionary()
        self._active: dict[tuple[str, str], Rate] = {}
        self._due = asyncio.Event()
        self._begun = False
        self._is_away = False
        self._desk = ""
        self._number = 0
        self._gateways = 1

    def rate_for(self, limit: LimitState, subject_id: str) -> Rate:
        """Return where calls of a subject are counted under a limit."""
        key = limit.limit_id, subject_id
        rate = self._rates.get(key)
        if rate is None:
            rate = self._rates[key] = Rate(key, self.now_ms())
        rate.name, rate.measure, rate.amount = limit.name, limit.measure, limit.amount
        return rate

    def try_take(self, rates: Sequence[Rate], units: int) -> int | None:
        """Count units under all of the limits, or under none; return the second they count in, for `correct`."""
        second = self.now_ms() // 1_000
        for rate in rates:
            window = rate.window
            window.advance(second)
            if window.used + units > rate.share:
                return None
        for rate in rates:
            rate.window.add(units)
        return second

    async def take(self, rates: Sequence[Rate], units: int) -> int | Rate:
        """As `try_take`, after asking for more where it must be; return the limit that has too little left, if any."""
        second = self.try_take(rates, units)
        if second is not None:
            return second
        await self._ask(rates, units)
        second = self.try_take(rates, units)
        if second is not None:
            return second
        now_ms = self.now_ms()
        short = [rate for rate in rates if rate.window.used + units > rate.share]
        for rate in short:
            rate.unmet += units
            rate.denied_until_ms = max(rate.denied_until_ms, now_ms + _DENIED_MS)
        return max(short, key=lambda rate: rate.retry_in_s(units))

    @staticmethod
    def correct(rates: Sequence[Rate], second: int, by: int) -> None:
        """Count a call for what it used in place of what was taken for it."""
        for rate in rates:
            rate.window.correct(second, by)

    def begin(self) -> None:
        """Report from now on: there is a limit."""
        if not self._begun:
            self._begun = True
            self._due.set()

    async def run(self) -> None:
        """Report every second, and when a call needs more, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_EVERY_MS / 1_000 if self._begun else None):
                    await self._due.wait()
            self._due.clear()
            if self._begun:
                await self._report()

    async def _ask(self, rates: Sequence[Rate], units: int) -> None:
        """Wait for the answer to the next report about those that have too little."""
        now_ms, loop = self.now_ms(), asyncio.get_running_loop()
        answers: list[asyncio.Future[None]] = []
        for rate in rates:
            if rate.window.used + units <= rate.share or units > rate.amount:
                continue
            rate.most = max(rate.most, units)
            self._active[rate.key] = rate
            if self._is_away:
                self._go_alone(rate)
            elif now_ms >= rate.denied_until_ms:
                rate.unmet += units
                rate.waiting.append(loop.create_future())
                answers.append(rate.waiting[-1])
        if answers:
            self._due.set()
            await asyncio.wait(answers)

    async def _report(self) -> None:
        """Say what changed, and act by the answer."""
        now_ms = self.now_ms()
        batch = [rate for rate in self._active.values() if self._is_due(rate, now_ms)]
        waiting = [answered for rate in batch for answered in rate.waiting]
        for rate in batch:
            rate.waiting.clear()
        try:
            if not await self._exchange_all(batch):
                # The control plane was started anew: it must know all of it.
                await self._exchange_all(list(self._active.values()))
            self._is_away = False
        except (Unavailable, Unauthorized) as error:
            if not self._is_away:
                _log.warning("rates.report_failed", error=str(error))
            self._is_away = True
            for rate in batch:
                self._go_alone(rate)
        finally:
            for answered in waiting:
                if not answered.done():
                    answered.set_result(None)

    async def _exchange_all(self, batch: Sequence[Rate]) -> bool:
        """Send as many reports as it takes, one where there is nothing to say; return as `_exchange`, of all."""
        starts = range(0, len(batch), MOST_USES) or (0,)
        return all([await self._exchange(batch[start : start + MOST_USES]) for start in starts])

    async def _exchange(self, batch: Sequence[Rate]) -> bool:
        """Send a report and take its shares; return whether it was to the desk that answered."""
        identity = self._identity()
        if identity is None:
            raise Unavailable("no epoch is open yet")
        self._number += 1
        gateway_id, epoch = identity
        uses = [self._use(rate) for rate in batch]
        report = RateReport(gateway_id=gateway_id, epoch=epoch, number=self._number, desk=self._desk, uses=uses)
        answer = await self._control_plane.rates(report)
        self._gateways = max(1, answer.gateways)
        was_known, self._desk = self._desk in {"", answer.desk}, answer.desk
        if was_known:
            for rate, use, share in zip(batch, uses, answer.shares, strict=False):
                self._take(rate, use, share)
        return was_known

    def _use(self, rate: Rate) -> RateUse:
        rate.window.advance(self.now_ms() // 1_000)
        limit_id, subject_id = rate.key
        wanted, rate.unmet = rate.wants(), 0
        return RateUse(limit_id=limit_id, subject_id=subject_id, holds=rate.share, used=rate.window.used, wanted=wanted)

    def _take(self, rate: Rate, use: RateUse, share: RateShare) -> None:
        rate.share, rate.used_elsewhere = share.share, share.used_elsewhere
        rate.reported, rate.reported_ms = (use.holds, use.used, use.wanted), self.now_ms()
        if not (use.holds or use.used or use.wanted or rate.waiting or rate.unmet):
            rate.most = 0
            self._active.pop(rate.key, None)

    def _is_due(self, rate: Rate, now_ms: int) -> bool:
        if rate.waiting or rate.reported_ms is None:
            return True
        since_ms = now_ms - rate.reported_ms
        if since_ms < _REPORT_EVERY_MS:
            return False
        rate.window.advance(now_ms // 1_000)
        return since_ms >= _RENEW_EVERY_MS or rate.reported != (rate.share, rate.window.used, rate.wants())

    def _go_alone(self, rate: Rate) -> None:
        """Take an equal part, where there is less: nobody can be asked."""
        rate.share = max(rate.share, rate.amount // self._gateways, 1)
