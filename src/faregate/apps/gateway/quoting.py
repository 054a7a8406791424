"""A quote: the request is read and bounded here as it would be for a hold; the control plane knows what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec import Raw

from faregate.apps.gateway import answers
from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.holding import Holding
from faregate.apps.gateway.plan import CallPlan, RoutePlan, sum_bounds, want_of
from faregate.apps.gateway.state import GatewayState
from faregate.base.clock import Clock
from faregate.base.errors import InvalidInput
from faregate.wire.caller_questions import (
    AsOf,
    QuoteAnswer,
    QuotedAccount,
    QuotedUnits,
    QuoteQuestion,
    QuoteRequest,
    QuoteView,
    RefusalView,
    SubscriptionQuoteView,
    TokenBoundView,
)
from faregate.wire.dialects.seam import Bound, MeteredDialect, MeteredRequest
from faregate.wire.dialects.settings import PartBounds
from faregate.wire.gateway_protocol import KeyState


class Quoting:
    """Quotes calls: nothing is held and nothing goes upstream."""

    def __init__(self, *, state: GatewayState, control_plane: ControlPlane, holding: Holding, clock: Clock) -> None:
        self._state = state
        self._control_plane = control_plane
        self._holding = holding
        self._now = clock.now

    async def quote(self, key: KeyState, asked: QuoteRequest, *, as_of: AsOf) -> QuoteView:
        """Return what the call would come to.

        Raises `InvalidInput`, naming the field, for a route that is not there or not metered, and for a request that
        cannot be bounded; `Unavailable` and `Unauthorized` as the control plane.
        """
        plan, dialect = self._find(key, asked.route)
        route = plan.route.state
        request, parts = _read(dialect, bytes(asked.request), route.parts)
        occurred_at = self._now() + plan.route.offset
        want = want_of(plan, request, parts=parts, occurred_at=occurred_at)
        question = QuoteQuestion(
            application_id=key.application_id,
            company_id=key.company_id,
            as_of=as_of,
            occurred_at=occurred_at,
            input_tokens=want.input,
            input_estimate=request.input_estimate(),
            output_tokens=want.output,
            accounts=self._accounts(key, plan.route, dialect.bounds, occurred_at=occurred_at),
        )
        answer = await self._control_plane.ask("/quotes", question, QuoteAnswer)
        return QuoteView(
            route=route.name,
            held=plan.subscription_id is not None,
            tokens=TokenBoundView(
                input=question.input_tokens, input_estimate=question.input_estimate, output=question.output_tokens
            ),
            choices=want.choices,
            affordable=all(found.affordable for found in answer.subscriptions),
            affordable_max_tokens=_affordable(answer.subscriptions, want.choices),
            least_max_tokens=want.least_output // want.choices,
            refusal=_refusal(plan, dialect, request, at=occurred_at),
            subscriptions=answer.subscriptions,
        )

    def _find(self, key: KeyState, path: str) -> tuple[CallPlan, MeteredDialect]:
        found = self._state.route_for(path)
        plan = None if found is None else self._state.plan_for(found[0], key.key_hash)
        if found is None or plan is None:
            raise InvalidInput.of("route", "is not a route of this gateway")
        dialect = found[0].dialect
        if dialect is None:
            raise InvalidInput.of("route", "is not metered by its requests: there is nothing to quote")
        if dialect.upstream_path(found[1]) is None:
            raise InvalidInput.of("route", "is not where metered calls go; name the route itself")
        return plan, dialect

    def _accounts(
        self, key: KeyState, route: RoutePlan, bounds: Mapping[str, Bound], *, occurred_at: datetime
    ) -> list[QuotedAccount]:
        accounts = []
        for account in self._state.accounts_of(key.company_id):
            units, unbounded = sum_bounds(route.meters, account.price_ids, bounds)
            if not (units or unbounded):
                continue
            without = sorted({meter.price_id for meter in unbounded})
            idle = self._holding.idle_units(account.subscription_id, occurred_at)
            accounts.append(
                QuotedAccount(
                    subscription_id=account.subscription_id,
                    units=[
                        QuotedUnits(
                            price_id=price_id, per_input=bound[0], per_output=bound[1], idle=idle.get(price_id, 0)
                        )
                        for price_id, bound in units.items()
                        if price_id not in without
                    ],
                    unbounded=without,
                )
            )
        return accounts


def _read(dialect: MeteredDialect, body: bytes, parts: PartBounds) -> tuple[MeteredRequest, int]:
    try:
        request = dialect.read_request(body)
        added = request.require_bounded(parts)
    except InvalidInput as error:
        fault = error.faults[0]
        raise InvalidInput.of(f"request.{fault.field}", fault.message) from None
    return request, added


def _refusal(plan: CallPlan, dialect: MeteredDialect, request: MeteredRequest, *, at: datetime) -> RefusalView | None:
    """Return what a rule, a cap or quota, or the route's models say to the call; limits per minute are not asked."""
    if plan.refusal is not None:
        return RefusalView(status=plan.refusal.fault.status, body=Raw(plan.refusal.body))
    for used_up in () if plan.limits is None else plan.limits.used_up:
        if used_up.holds(at):
            return RefusalView(status=used_up.fault.status, body=Raw(dialect.error_body(used_up.fault)))
    models = plan.route.models
    if models is not None and request.model not in models:
        refused = answers.MODEL_NOT_ALLOWED
        return RefusalView(status=refused.status, body=Raw(refused.body_for(dialect)))
    return None


def _affordable(subscriptions: Sequence[SubscriptionQuoteView], choices: int) -> int | None:
    limits = [
        max(0, found.affordable_output_tokens) // choices
        for found in subscriptions
        if found.affordable_output_tokens is not None
    ]
    return min(limits, default=None)
