"""Make plans and prices. A price never changes: what it has rated stays explained."""

from __future__ import annotations

from faregate.base.errors import Conflict, InvalidInput
from faregate.domain.catalog.price import Plan, Price
from faregate.services.change import Change
from faregate.storage.catalog import find_plan, find_plan_by_name, insert_plan, insert_price, prices_of_plan
from faregate.storage.database import Transaction
from faregate.storage.subscriptions import subscriptions_to_plan
from faregate.wire.api.catalog import PlanCreate, PriceCreate, to_price


def create_plan(transaction: Transaction, change: Change, request: PlanCreate) -> Plan:
    """Make a plan; `Conflict` on `name` if there is one of that name."""
    if find_plan_by_name(transaction, change.application_id, request.name) is not None:
        raise Conflict("name", f"there is already a plan {request.name!r}")
    plan = Plan(plan_id=change.new_id("pln"), name=request.name)
    insert_plan(transaction, change.application_id, plan, created_at=change.now)
    return plan


def create_price(transaction: Transaction, change: Change, request: PriceCreate) -> Price:
    """Make a price in a plan.

    Raises `InvalidInput` on what cannot be, an unknown plan and another currency than the plan's included, and
    `Conflict` on `name` if the plan has a price of that name.
    """
    price = to_price(request, change.new_id("prc"))
    plan = find_plan(transaction, change.application_id, request.plan_id)
    if plan is None:
        raise InvalidInput.of("plan_id", f"there is no plan {request.plan_id!r}")
    siblings = prices_of_plan(transaction, plan.plan_id)
    if any(sibling.name == price.name for sibling in siblings):
        raise Conflict("name", f"the plan {plan.name!r} already has a price {price.name!r}")
    subscriptions = subscriptions_to_plan(transaction, change.application_id, plan.plan_id)
    currencies = {row.subscription.currency for row in subscriptions} | {sibling.currency for sibling in siblings}
    if currencies - {price.currency}:
        code = min(unit.code for unit in currencies)
        raise InvalidInput.of("currency", f"a plan has one currency, and that of {plan.name!r} is {code}")
    insert_price(transaction, change.application_id, price, created_at=change.now)
    return price
