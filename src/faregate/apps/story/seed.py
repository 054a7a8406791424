"""The seed case as a catalog document: plan, prices, meters, route and rules, as in examples/catalog.yaml."""

from __future__ import annotations

from typing import Any, Final

ROUTE: Final = "/ai/chat"
PLAN: Final = "My AI API Plan"
INPUT: Final = "Input Tokens"
OUTPUT: Final = "Output Tokens"
INPUT_METER: Final = "Input Token Meter"
OUTPUT_METER: Final = "Output Token Meter"


def seed_catalog(*, upstream_url: str) -> dict[str, Any]:
    """Return the document for `POST /api/v1/catalog/apply`; the route leads to `upstream_url`."""
    return {
        "plans": [{"name": PLAN, "prices": [_price(INPUT, "0.50"), _price(OUTPUT, "1.50")]}],
        "meters": [
            _meter(INPUT_METER, INPUT, "prompt_tokens"),
            _meter(OUTPUT_METER, OUTPUT, "completion_tokens"),
        ],
        "routes": [{"name": ROUTE, "upstream_url": upstream_url}],
        "rules": [
            _rule("Block When No Available Credits", "block_when_no_available_credits"),
            _rule("Block On Unpaid Invoices", "block_on_unpaid_invoices"),
        ],
    }


def _price(name: str, amount: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": {"type": "package", "amount": amount, "size": "1000000", "round": "up"},
        "period": "month",
        "currency": "USD",
        "tax_behavior": "auto",
    }


def _meter(name: str, price: str, field: str) -> dict[str, Any]:
    return {
        "name": name,
        "plan": PLAN,
        "price": price,
        "filter": {
            "all": [
                {"field": "request.route", "operator": "is", "value": ROUTE},
                {"field": "response.status", "operator": "is", "value": 200},
            ]
        },
        "metric": {"type": "sum", "field": f"response.body.usage.{field}"},
        "reporting_period": "5m",
    }


def _rule(name: str, template: str) -> dict[str, Any]:
    return {"name": name, "template": template, "block_what": [{"field": "request.route", "pattern": ROUTE}]}
