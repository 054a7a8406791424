"""What benches sell: the seed's plan, and a plan whose every call has one price, and who buys them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from bench.calling import Api

CHAT: Final = "/ai/chat"
"""The route that is sold on the seed's prices."""

CALL_TOKENS: Final = 100
"""Output tokens of a call on the plan of fixed calls, and its package's size."""

CALL_AMOUNT: Final = "0.01"

GREAT_BALANCE: Final = "1000000.00"
MODEL: Final = "faregate-demo"

_BOTH_RULES: Final = ("block_when_no_available_credits", "block_on_unpaid_invoices")
_PROMPT: Final = "Tell me, in plain words, what the old dog saw by the long road."


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """What a plan counts: the meter's id, the price it feeds, and the usage field it sums."""

    meter_id: str
    price_id: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sold:
    """A price to be made, its pricing model as the API takes it, and the usage field that its meter sums."""

    name: str
    model: Mapping[str, object]
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A plan on a route, its meters in the order they were made."""

    route: str
    plan_id: str
    meters: tuple[Meter, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A company with a subscription and a key."""

    company_id: str
    subscription_id: str
    key: str


def package(amount: str, size: int) -> dict[str, object]:
    """Return the pricing model of `amount` dollars for every begun `size`."""
    return {"type": "package", "amount": amount, "size": size, "round": "up"}


def make_rules(api: Api) -> None:
    """Make both rules from their templates, narrowed to the AI routes."""
    for template in _BOTH_RULES:
        api.post("/rules", {"template": template, "block_what": [{"field": "request.route", "pattern": "/ai/"}]})


def make_seed_offer(api: Api, upstream: str) -> Offer:
    """Make the seed's plan: $0.50 per million input tokens and $1.50 per million output tokens, rounded up."""
    prices = (
        Sold(name="Input Tokens", model=package("0.50", 1_000_000), field="prompt_tokens"),
        Sold(name="Output Tokens", model=package("1.50", 1_000_000), field="completion_tokens"),
    )
    return make_offer(api, prices, upstream=upstream, route=CHAT)


def make_call_offer(api: Api, upstream: str, *, route: str = "/ai/fixed", **settings: object) -> Offer:
    """Make a plan of $0.01 for every 100 output tokens: a call of 100 tokens costs a cent."""
    prices = (Sold(name="Calls", model=package(CALL_AMOUNT, CALL_TOKENS), field="completion_tokens"),)
    return make_offer(api, prices, upstream=upstream, route=route, **settings)


def make_offer(api: Api, prices: Sequence[Sold], *, upstream: str, route: str, **settings: object) -> Offer:
    """Make a strict route to the upstream (`settings` are the route's own), a plan, its prices and their meters."""
    api.post("/routes", {"name": route, "upstream_url": f"{upstream}/v1", "enforce": "strict", **settings})
    plan_id = api.post("/plans", {"name": f"Plan of {route}"})["plan_id"]
    meters = tuple(_make_meter(api, plan_id, route, sold=sold) for sold in prices)
    return Offer(route=route, plan_id=plan_id, meters=meters)


def make_customer(
    api: Api, offer: Offer, company_id: str, *, pays: str = "prepaid", credit: str | None = None
) -> Customer:
    """Make a company on the offer's plan, with a key and, where `credit` is given, a grant of so much."""
    api.post("/companies", {"company_id": company_id})
    subscription = api.post("/subscriptions", {"company_id": company_id, "plan_id": offer.plan_id, "pays": pays})
    customer = Customer(
        company_id=company_id,
        subscription_id=subscription["subscription_id"],
        key=api.post("/keys", {"company_id": company_id})["key"],
    )
    if credit is not None:
        give_credit(api, customer, credit)
    return customer


def give_credit(api: Api, customer: Customer, amount: str) -> None:
    """Grant credit to a customer."""
    api.post(f"/subscriptions/{customer.subscription_id}/grants", {"amount": amount})


def chat_body(**fields: object) -> bytes:
    """Return the body of a chat completion; `fields` are added to it."""
    messages = [{"role": "user", "content": _PROMPT}]
    return msgspec.json.encode({"model": MODEL, "messages": messages, **fields})


def chat_headers(key: str, **directions: object) -> dict[str, str]:
    """Return a call's headers: the key, and directions to the demo upstream (`completion_tokens=100`)."""
    told = {f"x-demo-{name.replace('_', '-')}": str(value) for name, value in directions.items()}
    return {"authorization": f"Bearer {key}", "content-type": "application/json", **told}


def _make_meter(api: Api, plan_id: str, route: str, *, sold: Sold) -> Meter:
    """Make a monthly price in dollars and the meter that sums a usage field of the route's good answers into it."""
    price = api.post(
        "/prices", {"plan_id": plan_id, "name": sold.name, "model": sold.model, "period": "month", "currency": "USD"}
    )
    conditions = [
        {"field": "request.route", "operator": "is", "value": route},
        {"field": "response.status", "operator": "is", "value": 200},
    ]
    meter = api.post(
        "/meters",
        {
            "name": f"{sold.name} Meter of {route}",
            "price_id": price["price_id"],
            "filter": {"all": conditions},
            "metric": {"type": "sum", "field": f"response.body.usage.{sold.field}"},
            "reporting_period": "5m",
        },
    )
    return Meter(meter_id=meter["meter_id"], price_id=price["price_id"], field=sold.field)
