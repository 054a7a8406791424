"""Customers of a story: a company, a user, a subscription to the seed's plan and a key, made as by an operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from faregate.apps.story.management import Management
from faregate.apps.story.seed import PLAN
from faregate.base.errors import NotFound
from faregate.wire.api.catalog import PlanView, PriceView
from faregate.wire.api.customers import CompanyView, NewKeyView, SubscriptionView, UserView


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A company that may call. `key` is its API key, shown once by the API."""

    company_id: str
    name: str
    subscription_id: str
    key: str = field(repr=False)


async def add_customer(
    management: Management,
    *,
    company_id: str,
    name: str,
    pays: str,
    payment_terms_days: int = 14,
    started_at: datetime | None = None,
    replay: bool = False,
) -> Customer:
    """Make a company, its user, its subscription and a key; `started_at` is now where none is given."""
    user_id = f"{company_id}-program"
    await management.post("/companies", {"company_id": company_id, "name": name}, CompanyView)
    await management.post("/users", {"user_id": user_id, "company_id": company_id}, UserView)
    plan_id = await find_plan(management)
    wanted: dict[str, object] = {
        "company_id": company_id,
        "plan_id": plan_id,
        "pays": pays,
        "payment_terms_days": payment_terms_days,
    }
    if started_at is not None:
        wanted["started_at"] = started_at
    subscription = await management.post("/subscriptions", wanted, SubscriptionView)
    key = await management.post("/keys", {"company_id": company_id, "user_id": user_id, "replay": replay}, NewKeyView)
    return Customer(company_id=company_id, name=name, subscription_id=subscription.subscription_id, key=key.key)


async def find_plan(management: Management) -> str:
    """Return the id of the seed's plan."""
    for plan in await management.every("/plans", PlanView):
        if plan.name == PLAN:
            return plan.plan_id
    raise NotFound("plan", PLAN)


async def price_names(management: Management) -> dict[str, str]:
    """Return the prices' names by id."""
    return {price.price_id: price.name for price in await management.every("/prices", PriceView)}
