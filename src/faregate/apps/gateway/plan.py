"""Plans: what is known of a call before it comes, for a route and for a key on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from faregate.apps.gateway.call_records import PlanParts, plan_parts
from faregate.apps.gateway.limits import PlanLimits
from faregate.apps.gateway.meters import RouteMeter, make_route_meter
from faregate.apps.gateway.pools import PriceNeed, Want
from faregate.apps.gateway.targets import Retries, retries_of, targets_of
from faregate.apps.gateway.upstream_client import UpstreamClient
from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEASE_UNITS
from faregate.domain.governance.decision import decide, rules_covering
from faregate.domain.governance.rule import Cohort, Criterion, Refusal, Rule, Template
from faregate.domain.metering.definition import Definition, read_definition
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.filter import All, Is
from faregate.domain.metering.matching import may_match
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.metric import Sum
from faregate.domain.metering.windows import ReportingPeriod
from faregate.wire.dialects.openai_chat_dialect import chat_error
from faregate.wire.dialects.registry import dialect_of
from faregate.wire.dialects.seam import Bound, Fault, MeteredDialect, MeteredRequest
from faregate.wire.gateway_protocol import (
    AccountState,
    Enforce,
    KeyState,
    MeterState,
    NearZero,
    OnAbort,
    RouteState,
    RuleState,
)
from faregate.wire.patterns import compile_pattern

_TEMPLATES: Final = frozenset(template.value for template in Template)
_NONE: Final[frozenset[str]] = frozenset()
_NO_BOUNDS: Final[Mapping[str, Bound]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalAnswer:
    """A rule's refusal, encoded."""

    rule_id: str
    reason: str
    fault: Fault
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(slots=True, kw_only=True)
class RoutePlan:
    """A route with everything resolved.

    `dialect`: None where no usage is read; `metered_methods`: whose answers it reads. `dropped_headers`: names that do
    not pass. `cancels`: a call ends when its caller leaves. `models`: the only ones that may be asked for. `retries`:
    None where a call is sent once. `least_output`: each choice's limit is never lowered below it. `client`: made at its
    first call; `plans`: per key hash, filled as callers come.
    """

    state: RouteState
    dialect: MeteredDialect | None
    upstream_url: str
    upstream_headers: tuple[tuple[str, str], ...]
    dropped_headers: frozenset[str]
    missing_environment: tuple[str, ...]
    metered_methods: frozenset[str]
    covering: tuple[Rule, ...]
    meters: tuple[RouteMeter, ...]
    offset: timedelta
    cancels: bool
    models: frozenset[str] | None
    retries: Retries | None
    least_output: int
    client: UpstreamClient | None = None
    plans: dict[str, CallPlan] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """What happens to a call of this key on this route.

    `refusal`: a rule holds the company, the call is refused. `subscription_id`: credit is held there for `needs` before
    the call; None where no hold is needed; `no_credit` is the answer where none is left. `unboundable`: why no hold can
    be made though one is needed. `limits_output`: some need grows with the output. `meters`: what a call's event counts
    for. `parts`: what its records have in common. `limits`: what may be used beside credit; None for no limit.
    """

    route: RoutePlan
    key: KeyState
    refusal: RefusalAnswer | None
    subscription_id: str | None
    needs: tuple[PriceNeed, ...]
    no_credit: RefusalAnswer | None
    unboundable: str | None
    limits_output: bool
    meters: tuple[RouteMeter, ...]
    parts: PlanParts
    limits: PlanLimits | None


def make_route_plan(
    route: RouteState,
    *,
    rules: Sequence[RuleState],
    meters: Sequence[MeterState],
    offset_us: int,
    environment: Mapping[str, str],
) -> RoutePlan:
    """Resolve a route: its rules, its meters, its upstream and headers with the environment's values."""
    dialect = dialect_of(route)
    targets = targets_of(route, environment, metered=dialect is not None)
    first = targets[0]
    return RoutePlan(
        state=route,
        dialect=dialect,
        metered_methods=_NONE if dialect is None else dialect.methods,
        upstream_url=first.upstream_url,
        upstream_headers=first.headers,
        dropped_headers=first.dropped_headers,
        missing_environment=tuple(sorted(frozenset[str]().union(*(target.missing for target in targets)))),
        covering=rules_covering([_rule(rule) for rule in rules], route.name, compile_pattern),
        meters=tuple(
            make_route_meter(meter, route=route.name)
            for meter in map(_meter, sorted(meters, key=lambda meter: meter.meter_id))
            if may_match(meter.filter, {"request.route": route.name}, compile_pattern)
        ),
        offset=timedelta(microseconds=offset_us),
        cancels=route.on_abort is OnAbort.CANCEL,
        models=frozenset(route.models) or None,
        retries=retries_of(route, targets),
        least_output=MAX_LEASE_UNITS if route.near_zero is NearZero.REFUSE else route.least_output_tokens,
    )


def make_call_plan(
    route: RoutePlan,
    key: KeyState,
    *,
    accounts: Sequence[AccountState],
    cohorts: Collection[Cohort],
    limits: PlanLimits | None,
) -> CallPlan:
    """Decide what can be decided: is the company refused, and must credit be held?"""
    refused = decide(route.covering, cohorts)
    no_credits = next((rule for rule in route.covering if rule.cohort is Cohort.NO_AVAILABLE_CREDITS), None)
    prices = {price_id for account in accounts for price_id in account.price_ids}
    meters = tuple(meter for meter in route.meters if meter.price_id in prices)
    strict = route.state.enforce is Enforce.STRICT and no_credits is not None
    holding = [account for account in accounts if strict and account.prepaid and _metered(account, meters)]
    needs, unboundable = _needs(holding, meters, _NO_BOUNDS if route.dialect is None else route.dialect.bounds)
    subscription_id = holding[0].subscription_id if holding and unboundable is None else None
    return CallPlan(
        route=route,
        key=key,
        refusal=None if refused is None else _refusal_answer(refused, route.dialect),
        subscription_id=subscription_id,
        needs=needs,
        no_credit=None if no_credits is None else _refusal_answer(no_credits, route.dialect),
        unboundable=unboundable,
        limits_output=any(need.per_output for need in needs),
        meters=meters,
        parts=plan_parts(
            route.state, key, needs, usage_names=() if route.dialect is None else route.dialect.usage_names
        ),
        limits=limits,
    )


def want_of(plan: CallPlan, request: MeteredRequest, *, parts: int, occurred_at: datetime) -> Want:
    """Return what a call is to hold; `parts`: what those of its request add to the input's bound."""
    route, choices = plan.route, request.choices
    per_choice = request.most_output_per_choice or route.state.default_output_tokens
    return Want(
        needs=plan.needs,
        input=request.input_bound() + parts,
        output=per_choice * choices,
        least_output=min(per_choice, max(route.least_output, request.least_output_per_choice)) * choices,
        choices=choices,
        occurred_at=occurred_at,
    )


def sum_bounds(
    meters: Iterable[RouteMeter], prices: Collection[str], bounds: Mapping[str, Bound]
) -> tuple[dict[str, Bound], list[RouteMeter]]:
    """Return what a token comes to at most for each of the prices, in order, and the meters that nothing bounds."""
    units: dict[str, Bound] = {}
    unbounded = []
    for meter in meters:
        if meter.price_id in prices:
            bound = bounds.get(meter.sum_path)
            if bound is None:
                unbounded.append(meter)
            else:
                before = units.get(meter.price_id, (0, 0))
                units[meter.price_id] = (before[0] + bound[0], before[1] + bound[1])
    return dict(sorted(units.items())), unbounded


def require_usable(rule: RuleState) -> None:
    """Raise `InvalidInput` where the rule cannot be compiled: a pattern or a template this gateway does not know."""
    if rule.template not in _TEMPLATES:
        raise InvalidInput.of("template", f"{rule.template!r} is not known here")
    for criterion in rule.block_what:
        compile_pattern(criterion.pattern)


def _metered(account: AccountState, meters: Sequence[RouteMeter]) -> bool:
    return any(meter.price_id in account.price_ids for meter in meters)


def _needs(
    holding: Sequence[AccountState], meters: Sequence[RouteMeter], bounds: Mapping[str, Bound]
) -> tuple[tuple[PriceNeed, ...], str | None]:
    if not holding:
        return (), None
    if len(holding) > 1:
        return (), "several prepaid subscriptions meter this route"
    units, unbounded = sum_bounds(meters, holding[0].price_ids, bounds)
    if unbounded:
        return (), f"{unbounded[0].sum_path or 'what a meter counts'} cannot be bounded before the call"
    return tuple(PriceNeed(price_id=price_id, per_input=a, per_output=b) for price_id, (a, b) in units.items()), None


def _refusal_answer(rule: Rule, dialect: MeteredDialect | None) -> RefusalAnswer:
    refusal = rule.refusal
    fault = Fault(status=refusal.status, type=refusal.error_type, code=refusal.error_code, message=refusal.message)
    return RefusalAnswer(
        rule_id=rule.rule_id,
        reason=rule.cohort.value,
        fault=fault,
        headers=tuple((name.lower(), value) for name, value in refusal.headers.items()),
        body=chat_error(fault) if dialect is None else dialect.error_body(fault),
    )


def _rule(rule: RuleState) -> Rule:
    return Rule(
        rule_id=rule.rule_id,
        name=rule.name,
        template=Template(rule.template),
        cohort=rule.cohort,
        block_what=tuple(Criterion(field=entry.field, pattern=entry.pattern) for entry in rule.block_what),
        refusal=Refusal(
            status=rule.status,
            headers=rule.headers,
            error_type=rule.error_type,
            error_code=rule.error_code,
            message=rule.message,
        ),
        active=True,
        priority=rule.priority,
    )


def _meter(meter: MeterState) -> Meter:
    definition = _definition(meter)
    return Meter(
        meter_id=meter.meter_id,
        name=meter.meter_id,
        price_id=meter.price_id,
        filter=definition.filter,
        metric=definition.metric,
        reporting_period=ReportingPeriod.FIVE_MINUTES,
        group_by=definition.group_by,
        units=definition.units,
    )


def _definition(meter: MeterState) -> Definition:
    if meter.definition:
        return read_definition(meter.definition)
    conditions = tuple(Is(path=FieldPath(entry.path), value=entry.value) for entry in meter.conditions)
    return Definition(filter=All(conditions), metric=Sum(path=FieldPath(meter.sum_path)))
