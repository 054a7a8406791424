"""Make plans and prices. A price never changes: what it has rated stays explained; a change is a new version."""

from __future__ import annotations

from msgspec import UNSET

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.money import Currency
from faregate.domain.catalog.price import Plan
from faregate.domain.catalog.versions import PriceSeries, PriceVersion
from faregate.services.accounts import refresh_accounts
from faregate.services.below_cost import warn_of_below_cost
from faregate.services.change import Change
from faregate.services.reservable import require_reservable
from faregate.storage.catalog import (
    archive_plan,
    find_plan,
    find_plan_by_name,
    insert_plan,
    insert_version,
    rename_plan,
    restore_plan,
)
from faregate.storage.database import Transaction
from faregate.storage.metered import find_series, series_of_plan
from faregate.storage.subscriptions import subscriptions_to_plan
from faregate.wire.api.catalog import PlanChange, PlanCreate, PriceCreate, PriceVersionCreate, to_series, to_terms
from faregate.wire.api.common import to_utc


def create_plan(transaction: Transaction, change: Change, request: PlanCreate) -> Plan:
    """Make a plan; `Conflict` on `name` if there is one of that name."""
    if find_plan_by_name(transaction, change.application_id, request.name) is not None:
        raise Conflict("name", f"there is already a plan {request.name!r}")
    plan = Plan(plan_id=change.new_id("pln"), name=request.name)
    insert_plan(transaction, change.application_id, plan, created_at=change.now)
    return plan


def change_plan(transaction: Transaction, change: Change, request: PlanChange, *, plan_id: str) -> Plan:
    """Rename a plan, archive it or sell it again; `NotFound`, and `Conflict` on `name` if another plan has it.

    Who is on an archived plan stays on it; nobody else gets it.
    """
    before = find_plan(transaction, change.application_id, plan_id)
    if before is None:
        raise NotFound("plan", plan_id)
    name = before.name if request.name is UNSET else request.name
    if name != before.name:
        if find_plan_by_name(transaction, change.application_id, name) is not None:
            raise Conflict("name", f"there is already a plan {name!r}")
        rename_plan(transaction, change.application_id, plan_id, name=name)
    is_archived = before.is_archived if request.archived is UNSET else request.archived
    if is_archived and not before.is_archived:
        archive_plan(transaction, change.application_id, plan_id, archived_at=change.now)
    elif before.is_archived and not is_archived:
        restore_plan(transaction, change.application_id, plan_id)
    return Plan(plan_id=plan_id, name=name, is_archived=is_archived)


def create_price(transaction: Transaction, change: Change, request: PriceCreate) -> PriceSeries:
    """Make a price in a plan.

    Raises `InvalidInput` on what cannot be (an unknown plan, a currency that the plan's subscriptions do not pay,
    another period than that of the plan's other prices) and `Conflict` on `name` if the plan has a price of that
    name.
    """
    series = to_series(request, change.new_id("prc"), effective_at=change.now)
    plan = find_plan(transaction, change.application_id, request.plan_id)
    if plan is None:
        raise InvalidInput.of("plan_id", f"there is no plan {request.plan_id!r}")
    siblings = series_of_plan(transaction, plan.plan_id)
    if any(sibling.name == series.name for sibling in siblings):
        raise Conflict("name", f"the plan {plan.name!r} already has a price {series.name!r}")
    if siblings and siblings[0].period is not series.period:
        raise InvalidInput.of("period", f"must be that of the plan's other prices, {siblings[0].period.value!r}")
    standing = [row.subscription for row in subscriptions_to_plan(transaction, change.application_id, plan.plan_id)]
    if any(found.cycle.cadence.unit.value != series.period.value for found in standing):
        raise InvalidInput.of("period", "must be that of the plan's subscriptions, whose periods never change")
    _require_currencies(plan, series, siblings, paid={found.currency for found in standing})
    insert_version(transaction, change.application_id, series.versions[0], of=series, created_at=change.now)
    return series


def create_version(
    transaction: Transaction, change: Change, request: PriceVersionCreate, *, price_id: str
) -> PriceSeries:
    """Give a price new terms from a chosen moment on; return it with all its versions.

    Raises `NotFound` for an unknown price, and `InvalidInput` on what cannot be: a moment in the past (what was used
    then is rated), a currency that the price had and the version lacks, terms whose cost a strict route could not
    bound.
    """
    before = find_series(transaction, change.application_id, price_id)
    if before is None:
        raise NotFound("price", price_id)
    effective_at = change.now if request.effective_at is UNSET else to_utc(request.effective_at)
    if effective_at < change.now:
        raise InvalidInput.of("effective_at", "must not be in the past: what was used then is rated already")
    version = PriceVersion(
        price_id=change.new_id("prc"),
        number=before.every_version[-1].number + 1,
        effective_at=effective_at,
        applies_to=request.applies_to,
        terms=to_terms(request, before.currencies[0]),
    )
    for unit in before.currencies:
        if unit not in version.terms:
            raise InvalidInput.of(f"currency_options.{unit.code}", "is required: the price has that currency")
    insert_version(transaction, change.application_id, version, of=before, created_at=change.now)
    if not change.is_part:
        warn_of_below_cost(transaction, change.application_id, at=change.now, price_id=version.price_id)
    require_reservable(transaction, change, "model")
    subscriptions = subscriptions_to_plan(transaction, change.application_id, before.plan_id)
    refresh_accounts(
        transaction, subscription_ids={row.subscription.subscription_id for row in subscriptions}, now=change.now
    )
    after = find_series(transaction, change.application_id, price_id)
    return before if after is None else after


def _require_currencies(plan: Plan, series: PriceSeries, siblings: list[PriceSeries], *, paid: set[Currency]) -> None:
    """Raise `InvalidInput` where no subscription could pay all of the plan's prices, or one that stands could not."""
    shared = set(series.currencies).intersection(*(sibling.currencies for sibling in siblings))
    if paid <= shared and (shared or not siblings):
        return
    wanted = paid or set(siblings[0].currencies)
    codes = ", ".join(sorted(unit.code for unit in wanted))
    raise InvalidInput.of("currency", f"must be that of the plan {plan.name!r}, {codes}, or have it as an option")
