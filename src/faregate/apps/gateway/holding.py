"""Holding credit for a call: from memory where there is enough, else from the ledger, in the order the calls came.

Calls of one account that find too little queue up; one task per account asks the ledger for the first of them and lets
the others look again after each answer, so that one lease request is in flight per account at a time. Where calls are
many, more is asked for before it is needed, so that none of them waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Final

import structlog

from faregate.apps.gateway.asking import units_ahead, units_for_call
from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.lease_requests import LeaseRequests
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.pools import Account, Hold, Want
from faregate.base.clock import Clock
from faregate.base.ids import IdSource
from faregate.wire.gateway_protocol import LeaseAnswer, LeaseReturn, Refused

_log = structlog.get_logger(__name__)

_LAST_ANSWERS_WITHIN_S: Final = 3.0
_POLL_LEAST_S: Final = 0.02
_POLL_MOST_S: Final = 0.25
"""How often a call that waits asks again, though the control plane has not said that anything changed."""

_SCARCE_MS: Final = 5_000
"""How long an account keeps no slices here after another gateway lacked credit of it."""

_COUNTED_WAITING: Final = 256
"""How many waiting calls a lease request asks units for."""

_NOT_AHEAD_MS: Final = 2_000
"""How long nothing is asked for ahead after the ledger gave less than was wished: its rest is for calls that wait."""

_IDLE_AFTER_MS: Final = 3_000
"""An account that no call used for so long gives its units back, so that its money is free elsewhere."""


class Denied(StrEnum):
    """Why no credit could be held."""

    NO_CREDIT = "no_credit"
    UNAVAILABLE = "unavailable"


@dataclass(slots=True, eq=False)
class _Waiting:
    """A call in the queue; times on the loop's clock."""

    want: Want
    arrived_at_s: float
    deadline_s: float
    outcome: asyncio.Future[Hold | Denied]


@dataclass(frozen=True, slots=True)
class _Denial:
    """What was refused last; it holds for calls that came before, want as much, while nothing has changed."""

    want: Want
    changes: int
    asked_at_s: float


@dataclass(slots=True, eq=False)
class _Desk:
    """An account and its queue. `changes` counts what may have made units free since a refusal.

    `ahead_from_ms`: before that nothing is asked for ahead. `scarce_until_ms`: until then nothing is kept at hand.
    """

    account: Account
    waiting: deque[_Waiting] = field(default_factory=deque)
    asking: asyncio.Task[None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    changes: int = 0
    denied: _Denial | None = None
    ahead_from_ms: int = 0
    scarce_until_ms: int = 0
    giving_back: asyncio.Task[None] | None = None


class Holding:
    """All accounts' desks. `identity` gives gateway id and epoch, or None while no epoch is open."""

    def __init__(
        self,
        control_plane: ControlPlane,
        *,
        identity: Callable[[], tuple[str, int] | None],
        clock: Clock,
        new_id: IdSource,
        metrics: GatewayMetrics,
    ) -> None:
        self._requests = LeaseRequests(control_plane, identity=identity, new_id=new_id, metrics=metrics)
        self._clock = clock
        self._metrics = metrics
        self._desks: dict[str, _Desk] = {}
        self.on_final: Callable[[], None] = _nothing
        """Called when a call has ended whose account's credit ends with what is leased here."""

    @property
    def fenced(self) -> bool:
        """Return whether another process opened a later epoch of this gateway."""
        return self._requests.fenced

    def try_hold(self, subscription_id: str, want: Want) -> Hold | None:
        """Hold the whole bound from memory; None: `hold` must be awaited. Never overtakes a waiting call."""
        desk = self._desks.get(subscription_id)
        if desk is None or desk.waiting:
            return None
        return desk.account.hold(want, self._clock.steady_ms(), least=want.output)

    async def hold(self, subscription_id: str, want: Want, *, wait_ms: int) -> Hold | Denied:
        """Wait for a hold, up to `wait_ms` where waiting may help; refuse at once where it cannot."""
        desk = self._desks.get(subscription_id)
        if desk is None:
            desk = self._desks[subscription_id] = _Desk(Account(subscription_id))
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        ticket = _Waiting(want, started_s, started_s + wait_ms / 1_000, loop.create_future())
        desk.waiting.append(ticket)
        if desk.asking is None:
            desk.asking = loop.create_task(self._serve(desk))
        try:
            return await ticket.outcome
        except asyncio.CancelledError:
            self._give_up(ticket)
            raise
        finally:
            self._metrics.hold_waits += 1
            self._metrics.hold_wait_s += loop.time() - started_s

    def _give_up(self, ticket: _Waiting) -> None:
        """Free what was held for a call that ended in the very moment it was given."""
        outcome = ticket.outcome
        if outcome.done() and not outcome.cancelled():
            held = outcome.result()
            if isinstance(held, Hold):
                self.release(held)

    def release(self, hold: Hold) -> None:
        """Let go of a hold of which nothing was used."""
        hold.settle({})
        self.settled(hold)

    def settled(self, hold: Hold) -> None:
        """Say that a call of the account has ended: its units may be free."""
        if hold.account.final:
            self.on_final()
        self.freed(hold.account.subscription_id)

    def shipped(self) -> None:
        """Say that the ledger may have applied events: units may be free there."""
        for desk in self._desks.values():
            if desk.waiting:
                _wake(desk)

    def recall(self, subscription_id: str) -> None:
        """Give back at once what is idle of an account, and keep little for a while: a call elsewhere lacks it."""
        desk = self._desks.get(subscription_id)
        if desk is None:
            return
        desk.scarce_until_ms = desk.ahead_from_ms = self._clock.steady_ms() + _SCARCE_MS
        if desk.account.idle_units() and desk.giving_back is None:
            desk.giving_back = asyncio.get_running_loop().create_task(self._give_back(desk))

    def freed(self, subscription_id: str) -> None:
        """Say that the account's credit changed, here or at the ledger: calls that wait may ask again."""
        desk = self._desks.get(subscription_id)
        if desk is not None and desk.waiting:
            _wake(desk)

    def forget(self) -> list[Account]:
        """Hold nothing more from the leases in hand, which the ledger no longer knows; return their accounts."""
        left = []
        for desk in self._desks.values():
            left.append(desk.account)
            desk.account = Account(desk.account.subscription_id)
        return left

    def has_waiting(self) -> bool:
        """Return whether a call waits for units."""
        return any(desk.waiting for desk in self._desks.values())

    def outstanding_units(self) -> int:
        """Return the units of all leases that are idle or held."""
        return sum(desk.account.outstanding() for desk in self._desks.values())

    def idle_units(self, subscription_id: str, occurred_at: datetime) -> dict[str, int]:
        """Return the units at hand for a call of that time, by price."""
        desk = self._desks.get(subscription_id)
        if desk is None:
            return {}
        now_ms = self._clock.steady_ms()
        return {price_id: pool.idle(now_ms, occurred_at) for price_id, pool in desk.account.pools.items()}

    def look_ahead(self) -> None:
        """Ask for units before they are needed, for each account with many calls that will soon run out."""
        now_ms = self._clock.steady_ms()
        for desk in self._desks.values():
            if desk.asking is None and now_ms >= desk.ahead_from_ms:
                want = desk.account.runs_low(now_ms)
                if want is not None:
                    desk.asking = asyncio.get_running_loop().create_task(self._serve(desk, ahead=want))

    async def sweep(self, *, everything: bool = False) -> None:
        """Give back what is idle: of leases near their end, of accounts nobody calls, or of all (`everything`)."""
        if everything:
            await self._answers_to_come()
        now_ms = self._clock.steady_ms()
        by_account: list[tuple[Account, list[LeaseReturn]]] = []
        for desk in self._desks.values():
            account = desk.account
            quiet = everything or (not desk.waiting and now_ms - account.last_used_ms >= _IDLE_AFTER_MS)
            returns = account.give_back(now_ms, everything=quiet)
            if returns:
                by_account.append((account, returns))
        if not by_account and not self._requests.has_given_up:
            return
        answer = await self._requests.send([entry for _, returns in by_account for entry in returns])
        if answer is not None and answer.refused is None:
            for account, returns in by_account:
                account.acknowledge(returns)
        for desk in [found for found in self._desks.values() if _is_spent(found)]:
            del self._desks[desk.account.subscription_id]

    async def _answers_to_come(self) -> None:
        """Wait for what was asked for already: it would come after everything was given back."""
        asked = [task for desk in self._desks.values() for task in (desk.asking, desk.giving_back) if task is not None]
        if asked:
            await asyncio.wait(asked, timeout=_LAST_ANSWERS_WITHIN_S)

    async def _serve(self, desk: _Desk, *, ahead: Want | None = None) -> None:
        """Ask for what is wanted ahead, then answer the queue until it is empty."""
        try:
            if ahead is not None:
                await self._ask_ahead(desk, ahead)
            while desk.waiting:
                ticket = desk.waiting[0]
                if ticket.outcome.done():
                    desk.waiting.popleft()
                    continue
                outcome = await self._answer(desk, ticket)
                desk.waiting.popleft()
                if not ticket.outcome.done():
                    ticket.outcome.set_result(outcome)
                elif isinstance(outcome, Hold):
                    self.release(outcome)
        finally:
            desk.asking = None
            for ticket in desk.waiting:
                if not ticket.outcome.done():
                    ticket.outcome.set_result(Denied.UNAVAILABLE)
            desk.waiting.clear()

    async def _answer(self, desk: _Desk, ticket: _Waiting) -> Hold | Denied:
        want, loop = ticket.want, asyncio.get_running_loop()
        poll_s = _POLL_LEAST_S
        while True:
            # The desk's account is another one after a restore of the ledger.
            hold = desk.account.hold(want, self._clock.steady_ms(), least=want.output)
            if hold is not None:
                return hold
            if _known_to_be_denied(desk, ticket):
                return Denied.NO_CREDIT
            changes, asked_at_s = desk.changes, loop.time()
            answer = await self._ask_for_all(desk, want)
            hold = desk.account.hold(want, self._clock.steady_ms(), least=want.least_output)
            if hold is not None:
                return hold
            if answer is None or self.fenced or answer.refused is Refused.SUSPENDED:
                return Denied.UNAVAILABLE
            may_change = answer.outstanding or desk.account.in_flight > 0 or answer.refused is None
            if answer.refused is Refused.NO_SUBSCRIPTION or not may_change or loop.time() >= ticket.deadline_s:
                desk.denied = _Denial(want, changes, asked_at_s)
                return Denied.NO_CREDIT
            await _change(desk, since=changes, within_s=min(poll_s, ticket.deadline_s - loop.time()))
            poll_s = min(2 * poll_s, _POLL_MOST_S)

    async def _ask_for_all(self, desk: _Desk, want: Want) -> LeaseAnswer | None:
        """Ask the ledger; where it refuses while units lie idle here, give those back and ask once more."""
        answer = await self._ask(desk, want)
        if answer is not None and answer.refused in {Refused.EXHAUSTED, Refused.INSUFFICIENT}:
            if self._can_hold_least(desk.account, want) or not desk.account.idle_units():
                return answer
            answer = await self._ask(desk, want, give_back=True)
        return answer

    def _can_hold_least(self, account: Account, want: Want) -> bool:
        return account.affordable_output(want, self._clock.steady_ms()) >= want.least_output

    async def _ask_ahead(self, desk: _Desk, want: Want) -> None:
        """Ask the ledger for what the account burns in a while, and for no call in particular."""
        answer = await self._ask(desk, want, is_ahead=True)
        now_ms = self._clock.steady_ms()
        if answer is None or not answer.leases or desk.account.runs_low(now_ms) is not None:
            desk.ahead_from_ms = now_ms + _NOT_AHEAD_MS

    async def _ask(
        self, desk: _Desk, want: Want, *, give_back: bool = False, is_ahead: bool = False
    ) -> LeaseAnswer | None:
        """Ask the ledger for what `want` lacks; None where it cannot be asked."""
        account = desk.account
        asked_at_ms = self._clock.steady_ms()
        returns = account.give_back(asked_at_ms, everything=give_back)
        if is_ahead:
            units = units_ahead(account, want, now_ms=asked_at_ms)
        else:
            queued = [ticket.want for ticket in islice(desk.waiting, _COUNTED_WAITING)]
            scarce = asked_at_ms < desk.scarce_until_ms
            units = units_for_call(account, want, queued=queued, now_ms=asked_at_ms, scarce=scarce)
        answer = await self._requests.send(
            returns, subscription_id=account.subscription_id, occurred_at=want.occurred_at, units=units
        )
        if answer is None:
            return None
        if answer.refused is not Refused.FENCED:
            account.acknowledge(returns)
        if answer.leases or answer.refused is not None:
            account.final = answer.final or answer.refused is not None
        account.add(answer.leases, asked_at_ms=asked_at_ms, now_ms=self._clock.steady_ms())
        self._metrics.leases_granted += len(answer.leases)
        return answer

    async def _give_back(self, desk: _Desk) -> None:
        returns = desk.account.give_back(self._clock.steady_ms(), everything=True)
        try:
            answer = await self._requests.send(returns, subscription_id=desk.account.subscription_id)
            if answer is not None and answer.refused is None:
                desk.account.acknowledge(returns)
        finally:
            desk.giving_back = None


def _known_to_be_denied(desk: _Desk, ticket: _Waiting) -> bool:
    denial = desk.denied
    return (
        denial is not None
        and denial.changes == desk.changes
        and ticket.arrived_at_s <= denial.asked_at_s
        and ticket.want.input >= denial.want.input
        and ticket.want.least_output >= denial.want.least_output
        # A call of other prices may find units though this one did not.
        and all(need in ticket.want.needs for need in denial.want.needs)
    )


def _is_spent(desk: _Desk) -> bool:
    busy = desk.waiting or desk.asking is not None or desk.giving_back is not None
    return not busy and not desk.account.in_flight and not desk.account.has_leases()


def _nothing() -> None:
    return


def _wake(desk: _Desk) -> None:
    desk.changes += 1
    desk.changed.set()


async def _change(desk: _Desk, *, since: int, within_s: float) -> None:
    """Return when something of the account has changed since, or after a while."""
    if desk.changes != since:
        return
    desk.changed.clear()
    try:
        async with asyncio.timeout(max(within_s, 0.001)):
            await desk.changed.wait()
    except TimeoutError:
        pass
