"""What benches sell: the seed's plan, and a plan whose every call has one price, and who buys them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

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


def make_rules(api: Api) -> None:
    """Make both rules from their templates, narrowed to the AI routes."""
    for template in _BOTH_RULES:
        api.post("/rules", {"template": template, "block_what": [{"field": "request.route", "pattern": "/ai/"}]})


def make_seed_offer(api: Api, upstream: str, *, route: str = CHAT, **settings: object) -> Offer:
    """Make the seed's plan: $0.50 per million input tokens and $1.50 per million output tokens, rounded up."""
    prices = (
        ("Input Tokens", "0.50", 1_000_000, "prompt_tokens"),
        ("Output Tokens", "1.50", 1_000_000, "completion_tokens"),
    )
    return _make_offer(api, "My AI API Plan", route=route, upstream=upstream, prices=prices, settings=settings)


def make_call_offer(api: Api, upstream: str, *, route: str = "/ai/fixed", **settings: object) -> Offer:
    """Make a plan of $0.01 for every 100 output tokens: a call of 100 tokens costs a cent."""
    prices = (("Calls", CALL_AMOUNT, CALL_TOKENS, "completion_tokens"),)
    return _make_offer(api, f"Plan of {route}", route=route, upstream=upstream, prices=prices, settings=settings)


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


def chat_body(*, prompt: str = _PROMPT, **fields: object) -> bytes:
    """Return the body of a chat completion; `fields` are added to it."""
    messages = [{"role": "user", "content": prompt}]
    return msgspec.json.encode({"model": MODEL, "messages": messages, **fields})


def chat_headers(key: str, **directions: object) -> dict[str, str]:
    """Return a call's headers: the key, and directions to the demo upstream (`completion_tokens=100`)."""
    told = {f"x-demo-{name.replace('_', '-')}": str(value) for name, value in directions.items()}
    return {"authorization": f"Bearer {key}", "content-type": "application/json", **told}


def _make_offer(
    api: Api,
    plan_name: str,
    *,
    route: str,
    upstream: str,
    prices: tuple[tuple[str, str, int, str], ...],
    settings: dict[str, Any],
) -> Offer:
    api.post("/routes", {"name": route, "upstream_url": f"{upstream}/v1", "enforce": "strict", **settings})
    plan_id = api.post("/plans", {"name": plan_name})["plan_id"]
    meters = []
    for name, amount, size, field in prices:
        model = {"type": "package", "amount": amount, "size": size, "round": "up"}
        price = api.post(
            "/prices", {"plan_id": plan_id, "name": name, "model": model, "period": "month", "currency": "USD"}
        )
        conditions = [
            {"field": "request.route", "operator": "is", "value": route},
            {"field": "response.status", "operator": "is", "value": 200},
        ]
        meter = api.post(
            "/meters",
            {
                "name": f"{name} Meter of {route}",
                "price_id": price["price_id"],
                "filter": {"all": conditions},
                "metric": {"type": "sum", "field": f"response.body.usage.{field}"},
                "reporting_period": "5m",
            },
        )
        meters.append(Meter(meter_id=meter["meter_id"], price_id=price["price_id"], field=field))
    return Offer(route=route, plan_id=plan_id, meters=tuple(meters))
