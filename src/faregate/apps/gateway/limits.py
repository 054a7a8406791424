"""What limits hold the calls of a key on a route: made once with their plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from faregate.apps.gateway.headers import Headers
from faregate.apps.gateway.rates import Rate, Rates
from faregate.domain.limits.limit import Measure, Per, Subject
from faregate.wire.dialects.seam import Fault
from faregate.wire.gateway_protocol import KeyState
from faregate.wire.limit_protocol import LimitBlockState, LimitState
from faregate.wire.patterns import compile_pattern

_STATUS: Final = 429
_SECONDS_A_MINUTE: Final = 60
_MILLISECONDS: Final = 1_000
_HEADERS: Final = "x-ratelimit-"


@dataclass(frozen=True, slots=True)
class UsedUp:
    """A cap or quota that is used up, and the answer to calls of its period."""

    state: LimitBlockState
    fault: Fault

    def holds(self, occurred_at: datetime) -> bool:
        """Return whether a call of that business time is refused."""
        until_at = self.state.until_at
        return self.state.from_at <= occurred_at and (until_at is None or occurred_at < until_at)

    def headers(self, occurred_at: datetime) -> tuple[tuple[str, str], ...]:
        """Return when to come again, where that helps; clients' own repeats come too soon."""
        no_repeat = ("x-should-retry", "false")
        if self.state.until_at is None:
            return (no_repeat,)
        left_s = math.ceil((self.state.until_at - occurred_at).total_seconds())
        return (("retry-after", str(max(1, left_s))), no_repeat)


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """`requests` and `tokens`: where calls are counted per minute. `used_up`: caps and quotas with nothing left.

    `is_near`: one has little left, so that its calls are told of without delay.
    """

    requests: tuple[Rate, ...]
    tokens: tuple[Rate, ...]
    used_up: tuple[UsedUp, ...]
    is_near: bool
    now_ms: Callable[[], int]

    @property
    def most_tokens(self) -> int:
        """Return what a call may use at most, were it alone in its minute."""
        return min(rate.amount for rate in self.tokens)

    def headers(self) -> Headers:
        """Return what is left of the limits per minute, of each kind of which least is left, in OpenAI's names."""
        second = self.now_ms() // _MILLISECONDS
        headers: Headers = []
        for rates in (self.requests, self.tokens):
            for rate in rates:
                rate.window.advance(second)
            if rates:
                rate = min(rates, key=Rate.remaining)
                headers += [
                    (f"{_HEADERS}limit-{rate.measure}", str(rate.amount)),
                    (f"{_HEADERS}remaining-{rate.measure}", str(rate.remaining())),
                    (f"{_HEADERS}reset-{rate.measure}", _duration(rate.window.clears_in_s())),
                ]
        return headers

    def replace(self, headers: Headers) -> Headers:
        """Return an answer's headers with ours in place of the upstream's, which are of the operator's account."""
        return [pair for pair in headers if not pair[0].startswith(_HEADERS)] + self.headers()


class Taken:
    """What a call owes to limits at its end: what it used in place of tokens that were taken, and a `hurry` to tell."""

    __slots__ = ("_hurry", "_rates", "_second", "_units")

    def __init__(self, hurry: Callable[[], None] | None) -> None:
        self._hurry = hurry
        self._rates: tuple[Rate, ...] = ()
        self._second = self._units = 0

    def take(self, rates: tuple[Rate, ...], second: int, units: int) -> None:
        """Note that tokens were counted."""
        self._rates, self._second, self._units = rates, second, units

    def settle(self, used: int) -> None:
        """Count what the call used in place of what was taken."""
        if self._rates:
            Rates.correct(self._rates, self._second, used - self._units)
            self._units = used
        if self._hurry is not None:
            self._hurry()


def plan_limits(
    route: str,
    key: KeyState,
    *,
    limits: Iterable[LimitState],
    blocks: Iterable[LimitBlockState],
    plan_ids: Collection[str],
    rates: Rates,
) -> PlanLimits | None:
    """Return what limits a key's calls on a route; None for nothing. `plan_ids`: what its company is on."""
    subjects = {Subject.KEY: key.key_id, Subject.USER: key.user_id, Subject.COMPANY: key.company_id}
    found = [
        rates.rate_for(limit, subject_id)
        for limit in sorted(limits, key=lambda limit: limit.limit_id)
        if limit.application_id == key.application_id
        and (limit.plan_id is None or limit.plan_id in plan_ids)
        and (subject_id := subjects[limit.subject]) is not None
        and limit.subject_id in {None, subject_id}
        and _covers(limit.routes, route)
    ]
    holding = [
        block
        for block in sorted(blocks, key=lambda block: block.limit_id)
        if block.application_id == key.application_id
        and subjects[block.subject] == block.subject_id
        and _covers(block.routes, route)
    ]
    if not (found or holding):
        return None
    return PlanLimits(
        tuple(rate for rate in found if rate.measure is Measure.REQUESTS),
        tuple(rate for rate in found if rate.measure is Measure.TOKENS),
        tuple(UsedUp(block, _fault(block)) for block in holding if not block.is_near),
        any(block.is_near for block in holding),
        rates.now_ms,
    )


def _covers(patterns: Collection[str], route: str) -> bool:
    return not patterns or any(compile_pattern(pattern)(route) for pattern in patterns)


def _fault(block: LimitBlockState) -> Fault:
    amount = f"{block.amount} {block.currency or block.measure.value}"
    per = {Per.BILLING_PERIOD: " per billing period", Per.TOTAL: " in total"}.get(block.per, f" per {block.per.value}")
    again = "" if block.until_at is None else f" It begins anew at {block.until_at:%Y-%m-%dT%H:%M:%SZ}."
    message = f"The limit {block.name!r} of {amount}{per} is used up.{again}"
    return Fault(status=_STATUS, type="insufficient_quota", code="spend_limit_exceeded", message=message)


def _duration(seconds: int) -> str:
    """Return seconds as OpenAI's headers have them: `1s`, `1m1s`."""
    minutes, rest = divmod(seconds, _SECONDS_A_MINUTE)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
