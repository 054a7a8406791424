"""Refusing calls that rules or limits hold, before anything else is done for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn

from faregate.apps.gateway.answers import Refusal
from faregate.apps.gateway.call import Call
from faregate.apps.gateway.limits import PlanLimits, Taken
from faregate.apps.gateway.plan import RefusalAnswer
from faregate.apps.gateway.rates import Rate, Rates
from faregate.apps.gateway.settlement import Settlement
from faregate.wire.dialects.seam import Fault, MeteredRequest
from faregate.wire.gateway_protocol import Enforce

_STATUS: Final = 429
_CODE: Final = "rate_limit_exceeded"


class Limiting:
    """Asked only for calls whose plan has a refusal or limits."""

    def __init__(self, rates: Rates, settlement: Settlement, *, hurry: Callable[[], None]) -> None:
        self._rates = rates
        self._settlement = settlement
        self._hurry = hurry

    def turn_away(self, call: Call, refusal: RefusalAnswer) -> NoReturn:
        """Give the answer of a rule that holds the caller."""
        raise self._settlement.refuse(call, refusal)

    async def admit(self, call: Call, limits: PlanLimits) -> None:
        """Count the call; raises the refusal of a cap or quota that is used up, or of requests per minute.

        What a cap refused is written down, as what a rule refused; rate limits refuse without a trace but the metrics.
        """
        for used_up in limits.used_up:
            if used_up.holds(call.occurred_at):
                self._settlement.settle(call, _STATUS, blocked_by=used_up.state.limit_id)
                raise Refusal(used_up.fault.code, used_up.fault, used_up.headers(call.occurred_at))
        if limits.is_near:
            call.taken = Taken(self._hurry)
        if limits.requests:
            taken = await self._rates.take(limits.requests, 1)
            if isinstance(taken, Rate):
                raise _refused(taken, 1)

    async def admit_tokens(self, call: Call, limits: PlanLimits, request: MeteredRequest | None) -> None:
        """Count the tokens that the call may use, until `Taken.settle` knows better; raises a refusal.

        On strict routes these are its bound, elsewhere its estimate. Where the caller named no limit of the output, no
        more than the whole minute's.
        """
        estimate, bound, is_open = _tokens(call, request)
        most = limits.most_tokens
        if estimate > most and not is_open:
            raise _too_large(min(limits.tokens, key=lambda rate: rate.amount), estimate)
        units = min(bound, most)
        taken = await self._rates.take(limits.tokens, units)
        if isinstance(taken, Rate):
            raise _refused(taken, units)
        if call.taken is None:
            call.taken = Taken(None)
        call.taken.take(limits.tokens, taken, units)


def _tokens(call: Call, request: MeteredRequest | None) -> tuple[int, int, bool]:
    """Return an estimate and a bound of the call's tokens, and whether the caller left its output open."""
    estimate = call.input_estimate()
    if request is None:
        return estimate, estimate, True
    route = call.plan.route.state
    own = request.most_output_per_choice
    output = (own or route.default_output_tokens) * request.choices
    bound = request.input_bound() if route.enforce is Enforce.STRICT else estimate
    return estimate + output, bound + output, own is None


def _refused(rate: Rate, units: int) -> Refusal:
    wait_s = rate.retry_in_s(units)
    message = (
        f"Rate limit {rate.name!r} reached: {rate.amount} {rate.measure} per minute, {rate.remaining()} left, "
        f"{units} wanted. Try again in {wait_s}s."
    )
    return Refusal(_CODE, _fault(rate, message), (("retry-after", str(wait_s)),))


def _too_large(rate: Rate, units: int) -> Refusal:
    message = (
        f"The request may use {units} tokens, and the rate limit {rate.name!r} is {rate.amount} tokens per minute. "
        "Send less, or lower the limit of the answer's tokens."
    )
    return Refusal(_CODE, _fault(rate, message), (("x-should-retry", "false"),))


def _fault(rate: Rate, message: str) -> Fault:
    return Fault(status=_STATUS, type=rate.measure.value, code=_CODE, message=message)
