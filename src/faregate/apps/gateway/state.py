"""The pushed state, and the plans made from it: everything that can be decided before a request comes.

A `CallPlan` is made once per (route, key) and dropped when something it was made from changes. A reset is built beside
the state in use and takes its place only when it is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import structlog

from faregate.apps.gateway.limits import PlanLimits, plan_limits
from faregate.apps.gateway.plan import CallPlan, RoutePlan, make_call_plan, make_route_plan, require_usable
from faregate.apps.gateway.rates import Rates
from faregate.base.errors import InvalidInput
from faregate.wire.dialects.registry import dialect_of
from faregate.wire.gateway_protocol import (
    AccountState,
    ClockState,
    EntityState,
    KeyState,
    MembershipState,
    MeterState,
    Remove,
    Reset,
    RouteState,
    RuleState,
    StateChange,
    Upsert,
    UpToDate,
)
from faregate.wire.limit_protocol import LimitBlockState, LimitState

_log = structlog.get_logger(__name__)


class Entities:
    """The entities by kind and id, as the control plane named them."""

    def __init__(self) -> None:
        self.by_name: dict[tuple[str, str], EntityState] = {}
        self.routes: dict[str, RouteState] = {}
        self.keys: dict[str, KeyState] = {}
        self.accounts: dict[str, dict[str, AccountState]] = {}
        self.meters: dict[str, MeterState] = {}
        self.rules: dict[str, RuleState] = {}
        self.memberships: dict[str, MembershipState] = {}
        self.clocks: dict[str, ClockState] = {}
        self.limits: dict[str, LimitState] = {}
        self.limit_blocks: dict[str, dict[tuple[str, str], LimitBlockState]] = {}

    def put(self, kind: str, entity_id: str, entity: EntityState) -> EntityState | None:
        """Keep the entity and return the one it replaces."""
        before = self.drop(kind, entity_id)
        self.by_name[kind, entity_id] = entity
        entities, key = self._place(entity)
        entities[key] = entity
        return before

    def drop(self, kind: str, entity_id: str) -> EntityState | None:
        """Forget the entity and return it, or None where there is none."""
        entity = self.by_name.pop((kind, entity_id), None)
        if entity is not None:
            entities, key = self._place(entity)
            entities.pop(key, None)
        return entity

    def _place(self, entity: EntityState) -> tuple[dict[Any, Any], object]:
        match entity:
            case RouteState():
                return self.routes, entity.route_id
            case KeyState():
                return self.keys, entity.key_hash
            case AccountState():
                return self.accounts.setdefault(entity.company_id, {}), entity.subscription_id
            case MeterState():
                return self.meters, entity.meter_id
            case RuleState():
                return self.rules, entity.rule_id
            case MembershipState():
                return self.memberships, entity.company_id
            case ClockState():
                return self.clocks, entity.application_id
            case LimitState():
                return self.limits, entity.limit_id
            case LimitBlockState():
                return self.limit_blocks.setdefault(entity.company_id, {}), (entity.limit_id, entity.subject_id)
            case _:
                assert_never(entity)


class GatewayState:
    """What the gateway knows, or None of it yet (`ready` is false). `changes`: counts what made plans obsolete."""

    def __init__(self, environment: Mapping[str, str], rates: Rates) -> None:
        self._environment = environment
        self._rates = rates
        self._entities = Entities()
        self._coming: Entities | None = None
        self._routes: dict[str, RoutePlan] | None = None
        self.ready = False
        self.version: int | None = None
        self.generation = 0
        self.changes = 0

    def apply(self, message: StateChange) -> None:
        """Take one message; idempotent."""
        match message:
            case Reset():
                self._coming = Entities()
                self.generation = message.generation
            case Upsert():
                self._take(message)
            case Remove():
                if self._coming is not None:
                    self._coming.drop(message.kind, message.entity_id)
                else:
                    self._changed(self._entities.drop(message.kind, message.entity_id))
            case UpToDate():
                self._complete(message.version)
            case _:
                assert_never(message)

    def abandon_reset(self) -> None:
        """Drop a reset that its stream did not complete; the state in use stays."""
        self._coming = None

    def route_for(self, path: str) -> tuple[RoutePlan, str] | None:
        """Return the route with the longest name that is `path` or a parent of it, and what follows it."""
        routes = self._routes
        if routes is None:
            routes = self._routes = self._make_routes()
        name = path
        while name:
            route = routes.get(name)
            if route is not None:
                return route, path[len(name) :]
            name = name.rpartition("/")[0]
        return None

    def plan_for(self, route: RoutePlan, key_hash: str) -> CallPlan | None:
        """Return the plan for calls with that key on that route; None: no such key in its application."""
        plan = route.plans.get(key_hash)
        if plan is None:
            key = self._entities.keys.get(key_hash)
            if key is None or key.application_id != route.state.application_id:
                return None
            membership = self._entities.memberships.get(key.company_id)
            plan = make_call_plan(
                route,
                key,
                accounts=self.accounts_of(key.company_id),
                cohorts=frozenset() if membership is None else frozenset(membership.cohorts),
                limits=self._limits_for(route, key),
            )
            route.plans[key_hash] = plan
        return plan

    def _limits_for(self, route: RoutePlan, key: KeyState) -> PlanLimits | None:
        entities = self._entities
        return plan_limits(
            route.state.name,
            key,
            limits=entities.limits.values(),
            blocks=entities.limit_blocks.get(key.company_id, {}).values(),
            plan_ids={account.plan_id for account in self.accounts_of(key.company_id)},
            rates=self._rates,
        )

    def key_of(self, key_hash: str) -> KeyState | None:
        """Return the live key with that hash."""
        return self._entities.keys.get(key_hash)

    def accounts_of(self, company_id: str) -> tuple[AccountState, ...]:
        """Return a company's subscriptions."""
        return tuple(self._entities.accounts.get(company_id, {}).values())

    def most_request_bytes(self) -> int:
        """Return the largest request that some route takes."""
        return max((route.max_request_bytes for route in self._entities.routes.values()), default=0)

    def _take(self, message: Upsert) -> None:
        entity: EntityState | None = message.entity
        if isinstance(entity, RuleState):
            try:
                require_usable(entity)
            except InvalidInput as error:
                # The rule as it was goes on: neither must calls fail for it, nor must it stop holding who it held.
                entity = self._entities.rules.get(entity.rule_id)
                _log.error("rule.rejected", rule_id=message.entity_id, error=str(error), kept=entity is not None)
        if isinstance(entity, RouteState):
            try:
                dialect_of(entity)
            except InvalidInput as error:
                # To go on by what the route was before would meter it wrongly.
                _log.error("route.rejected", route=entity.name, error=str(error))
                self.apply(Remove(kind=message.kind, entity_id=message.entity_id))
                return
        if entity is None:
            return
        if self._coming is not None:
            self._coming.put(message.kind, message.entity_id, entity)
        else:
            before = self._entities.put(message.kind, message.entity_id, entity)
            self._changed(entity)
            self._changed(before)

    def _complete(self, version: int) -> None:
        if self._coming is not None:
            self._entities, self._coming = self._coming, None
            self._forget_routes()
        self.version = version
        self.ready = True
        if self._entities.limits:
            self._rates.begin()

    def _changed(self, entity: EntityState | None) -> None:
        match entity:
            case None:
                pass
            case RouteState() | MeterState() | RuleState() | ClockState() | LimitState():
                self._forget_routes()
            case KeyState() | AccountState() | MembershipState() | LimitBlockState():
                self._forget_company(entity.company_id)
            case _:
                assert_never(entity)

    def _forget_routes(self) -> None:
        self.changes += 1
        self._routes = None

    def _forget_company(self, company_id: str) -> None:
        self.changes += 1
        for route in (self._routes or {}).values():
            for key_hash in [found for found, plan in route.plans.items() if plan.key.company_id == company_id]:
                del route.plans[key_hash]

    def _make_routes(self) -> dict[str, RoutePlan]:
        entities = self._entities
        plans = {}
        for route in entities.routes.values():
            application_id = route.application_id
            clock = entities.clocks.get(application_id)
            plan = make_route_plan(
                route,
                rules=[rule for rule in entities.rules.values() if rule.application_id == application_id],
                meters=[meter for meter in entities.meters.values() if meter.application_id == application_id],
                offset_us=0 if clock is None else clock.offset_us,
                environment=self._environment,
            )
            if plan.missing_environment:
                _log.error("route.environment_missing", route=route.name, names=plan.missing_environment)
            plans[route.name.rstrip("/") or "/"] = plan
        return plans
