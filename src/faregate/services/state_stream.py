"""What a gateway is told: everything, or what changed since the version it has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec

from faregate.domain.customers.subscription import Pays
from faregate.domain.governance.rule import Cohort, Rule
from faregate.domain.limits.limit import Stage, known_end
from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.filter import All, Is
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.metric import Sum
from faregate.domain.metering.units import UNCHANGED
from faregate.storage import state_entities as entities
from faregate.storage.applications import list_applications
from faregate.storage.database import Transaction
from faregate.storage.limits import ReachedLimit, rate_limits, reached_limits
from faregate.storage.routes import RouteRow
from faregate.storage.state_feed import (
    Kind,
    changes_after,
    has_changes_since,
    latest_version,
    limit_block_id,
    membership_id,
    prune_changes,
)
from faregate.wire.gateway_protocol import (
    AccountState,
    ClockState,
    ConditionState,
    CriterionState,
    EntityState,
    KeyState,
    MembershipState,
    MeterState,
    Remove,
    Reset,
    RouteState,
    RuleState,
    StateMessage,
    Upsert,
    UpToDate,
)
from faregate.wire.limit_protocol import LimitBlockState, LimitState

CHANGES_AT_ONCE: Final = 2_000
"""Changes that are looked up together; more than that travel as several bursts."""

CHANGES_KEPT: Final = 100_000
"""A gateway that was away for longer than this many changes gets everything anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateBurst:
    """Messages in the order to send them; the last one is `UpToDate(version)`."""

    messages: list[StateMessage]
    version: int


def whole_state(transaction: Transaction) -> StateBurst:
    """Return a reset, every entity, and the version they stand at."""
    version = latest_version(transaction)
    messages: list[StateMessage] = [Reset(generation=newest_generation(transaction))]
    for kind, read in _READERS.items():
        messages += (Upsert(kind=kind, entity_id=key, entity=entity) for key, entity in read(transaction, None).items())
    messages.append(UpToDate(version=version))
    return StateBurst(messages=messages, version=version)


def state_after(transaction: Transaction, version: int) -> StateBurst:
    """Return what changed after `version`; the whole state where that is 0, unknown here, or too long ago."""
    if version == 0 or not has_changes_since(transaction, version):
        return whole_state(transaction)
    changes = changes_after(transaction, version, CHANGES_AT_ONCE)
    ids: dict[Kind, set[str]] = {}
    for change in changes:
        ids.setdefault(change.kind, set()).add(change.entity_id)
    found = {kind: _READERS[kind](transaction, some) for kind, some in ids.items()}
    messages = [_message(change.kind, change.entity_id, found[change.kind]) for change in changes]
    reached = max((change.version for change in changes), default=version)
    messages.append(UpToDate(version=reached))
    return StateBurst(messages=messages, version=reached)


def for_dialects(burst: StateBurst, dialects: Collection[str]) -> StateBurst:
    """Return what a gateway that can meter these dialects is told: a route of another is gone for it.

    It then answers 404; it must neither let calls through unmetered nor go on by what the route was before.
    """
    messages = [_unless_unknown(message, dialects) for message in burst.messages]
    return StateBurst(messages=messages, version=burst.version)


def _unless_unknown(message: StateMessage, dialects: Collection[str]) -> StateMessage:
    match message:
        case Upsert(entity=RouteState(dialect=dialect)) if dialect not in dialects:
            return Remove(kind=message.kind, entity_id=message.entity_id)
        case _:
            return message


def newest_generation(transaction: Transaction) -> int:
    """Return the ledger's generation: the newest of all applications', 0 where there is none yet."""
    return max((row.generation for row in list_applications(transaction)), default=0)


def forget_old_changes(transaction: Transaction) -> int:
    """Prune the change feed; return how many changes were forgotten."""
    return prune_changes(transaction, CHANGES_KEPT)


def _message(kind: Kind, entity_id: str, found: dict[str, EntityState]) -> StateMessage:
    entity = found.get(entity_id)
    if entity is None:
        return Remove(kind=kind, entity_id=entity_id)
    return Upsert(kind=kind, entity_id=entity_id, entity=entity)


def _routes(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    return {row.route_id: _route(row) for row in entities.read_routes(transaction, ids)}


def _route(row: RouteRow) -> RouteState:
    settings = msgspec.json.decode(row.settings, type=dict[str, object])
    own = {"route_id": row.route_id, "application_id": row.application_id, "name": row.name}
    return msgspec.convert(settings | own, RouteState)


def _keys(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    return {
        key.key_id: KeyState(
            key_id=key.key_id,
            application_id=key.application_id,
            key_hash=key.key_hash,
            company_id=key.company_id,
            user_id=key.user_id,
            replay=key.replay,
        )
        for key in entities.read_live_keys(transaction, ids)
    }


def _accounts(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    return {
        row.subscription_id: AccountState(
            subscription_id=row.subscription_id,
            application_id=row.application_id,
            company_id=row.company_id,
            prepaid=row.pays == Pays.PREPAID,
            started_at=row.started_at,
            price_ids=list(row.price_ids),
            plan_id=row.plan_id,
        )
        for row in entities.read_metered_subscriptions(transaction, ids)
    }


def _meters(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    found = entities.read_meters(transaction, ids)
    return {owned.meter.meter_id: meter_state(owned.application_id, owned.meter) for owned in found}


def meter_state(application_id: str, meter: Meter) -> MeterState:
    """Return a meter as gateways are told of it."""
    simple = _simple_conditions(meter)
    return MeterState(
        meter_id=meter.meter_id,
        application_id=application_id,
        price_id=meter.price_id,
        conditions=simple or [],
        sum_path=meter.metric.path.text if simple is not None and isinstance(meter.metric, Sum) else "",
        definition="" if simple is not None else write_definition(meter.definition),
    )


def _simple_conditions(meter: Meter) -> list[ConditionState] | None:
    """Return the conditions of a meter that sums a field where all of them hold; None for every other meter."""
    metric, criteria = meter.metric, meter.filter
    parts = criteria.parts if isinstance(criteria, All) else (criteria,)
    if not isinstance(metric, Sum) or metric.weighted or meter.units != UNCHANGED:
        return None
    found = []
    for part in parts:
        if not isinstance(part, Is) or isinstance(part.value, Decimal):
            return None
        found.append(ConditionState(path=part.path.text, value=part.value))
    return found


def _rules(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    found = entities.read_active_rules(transaction, ids)
    return {owned.rule.rule_id: _rule(owned.application_id, owned.rule) for owned in found}


def _rule(application_id: str, rule: Rule) -> RuleState:
    return RuleState(
        rule_id=rule.rule_id,
        application_id=application_id,
        name=rule.name,
        template=rule.template,
        cohort=rule.cohort,
        block_what=[CriterionState(field=criterion.field, pattern=criterion.pattern) for criterion in rule.block_what],
        status=rule.refusal.status,
        headers=dict(rule.refusal.headers),
        error_type=rule.refusal.error_type,
        error_code=rule.refusal.error_code,
        message=rule.refusal.message,
        priority=rule.priority,
    )


def _memberships(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    companies = None if ids is None else _pairs(ids)
    return {
        membership_id(row.application_id, row.company_id): MembershipState(
            company_id=row.company_id,
            application_id=row.application_id,
            cohorts=msgspec.json.decode(row.cohorts, type=list[Cohort]),
        )
        for row in entities.read_cohorts(transaction, companies)
    }


def _pairs(ids: Iterable[str]) -> set[tuple[str, str]]:
    # An application's or a limit's id has no slash; a company's may.
    return {(first, second) for first, _, second in (key.partition("/") for key in ids)}


def _clocks(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    return {
        row.application_id: ClockState(application_id=row.application_id, offset_us=row.offset_us)
        for row in entities.read_business_clocks(transaction, ids)
    }


def _limits(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    return {
        owned.limit.limit_id: LimitState(
            limit_id=owned.limit.limit_id,
            application_id=owned.application_id,
            name=owned.limit.name,
            subject=owned.limit.subject,
            subject_id=owned.limit.subject_id,
            plan_id=owned.limit.plan_id,
            measure=owned.limit.measure,
            amount=int(owned.limit.amount),
            routes=list(owned.limit.routes),
        )
        for owned in rate_limits(transaction, ids)
    }


def _limit_blocks(transaction: Transaction, ids: Collection[str] | None) -> dict[str, EntityState]:
    subjects = None if ids is None else _pairs(ids)
    return {
        limit_block_id(found.use.key.limit_id, found.use.key.subject_id): _limit_block(found)
        for found in reached_limits(transaction, subjects)
    }


def _limit_block(found: ReachedLimit) -> LimitBlockState:
    limit, use = found.owned.limit, found.use
    return LimitBlockState(
        limit_id=limit.limit_id,
        application_id=found.owned.application_id,
        name=limit.name,
        subject=limit.subject,
        subject_id=use.key.subject_id,
        company_id=use.company_id,
        measure=limit.measure,
        amount=f"{limit.amount:f}",
        currency=limit.currency,
        per=limit.per,
        routes=list(limit.routes),
        from_at=use.key.period_start,
        until_at=known_end(use.period_end),
        is_near=limit.stage(use.used) is Stage.NEAR,
    )


_READERS: Final[dict[Kind, Callable[[Transaction, Collection[str] | None], dict[str, EntityState]]]] = {
    "clock": _clocks,
    "route": _routes,
    "meter": _meters,
    "account": _accounts,
    "rule": _rules,
    "membership": _memberships,
    "limit": _limits,
    "limit_block": _limit_blocks,
    "key": _keys,
}
"""In the order of a whole state: keys last, so that no caller is let in before what governs it is known."""
