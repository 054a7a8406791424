"""The example of token prices, applied, used and read: every kind of token at its own price, by model."""

from decimal import Decimal
from typing import Any

import msgspec

from faregate.apps.cli.catalog_file import read_catalog_file
from tests.api.world import Api
from tests.support.tree import ROOT

EXAMPLE = ROOT / "examples/token-prices.yaml"
USAGE = {
    "prompt_tokens": 1_000,
    "completion_tokens": 500,
    "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 100},
    "completion_tokens_details": {"reasoning_tokens": 200, "audio_tokens": 50},
}


def catalog(**changes: object) -> dict[str, Any]:
    return {**read_catalog_file(EXAMPLE).document, **changes}


def applied(api: Api, document: dict[str, Any]) -> set[str]:
    differences = api.post("/catalog/apply", {"catalog": document})["differences"]
    return {difference["action"] for difference in differences}


def call(model: str, number: int, **usage: object) -> bytes:
    return msgspec.json.encode(
        {
            "request": {
                "time": "2026-03-10T12:00:00Z",
                "uri": "http://api.example/ai/chat",
                "route": "/ai/chat",
                "verb": "POST",
                "body": {"model": model, "number": number},
            },
            "response": {"time": "2026-03-10T12:00:01Z", "status": 200, "body": {"usage": {**USAGE, **usage}}},
            "company_id": "acme",
        }
    )


def test_applying_the_example_again_changes_nothing(api_on_both: Api) -> None:
    assert applied(api_on_both, catalog()) == {"create"}
    assert applied(api_on_both, catalog()) == {"unchanged"}


def test_each_kind_of_token_is_charged_at_its_models_own_price(api_on_both: Api) -> None:
    api = api_on_both
    applied(api, catalog())
    api.take_bodies(call("gpt-4o", 1), call("o3-mini", 2), call("new-model", 3))
    subscription = api.get("/subscriptions")["data"][0]["subscription_id"]
    prices = {
        price["name"]: (Decimal(price["quantity"]), Decimal(price["debited"]))
        for price in api.get(f"/subscriptions/{subscription}/balance")["prices"]
    }
    in_millionths: dict[str, tuple[int, Decimal]] = {
        "Input": (900, Decimal(300) * (Decimal("2.5") + Decimal("1.1") + 5)),
        "Cached Input": (1_800, 600 * (Decimal("1.25") + Decimal("2.5") + Decimal("2.5"))),
        "Cache Writes": (0, Decimal(0)),
        "Output": (750, Decimal(250) * (10 + 20 + 20)),
        "Reasoning": (600, 600 * Decimal("4.4")),
        "Audio Input": (300, Decimal(300) * 40),
        "Audio Output": (150, 150 * 80 * Decimal("0.9")),
    }
    assert prices == {name: (Decimal(units), cost / 1_000_000) for name, (units, cost) in in_millionths.items()}


def test_a_file_says_from_when_other_terms_hold_and_saying_it_again_changes_nothing(api: Api) -> None:
    document = catalog(meters=[], companies=[])
    applied(api, document)
    price = document["plans"][0]["prices"][4]
    price["model"] = {"type": "per_unit", "amount": "0.000004"}
    refused = api.refused("/catalog/apply", {"catalog": document})
    assert list(refused) == ["catalog.plans[0].prices[4].model.amount"]
    assert "effective_at" in refused["catalog.plans[0].prices[4].model.amount"]
    price |= {"effective_at": "2027-01-01T00:00:00Z", "applies_to": "new_subscriptions"}
    (changed,) = (
        difference
        for difference in api.post("/catalog/apply", {"catalog": document})["differences"]
        if difference["action"] != "unchanged"
    )
    assert (changed["action"], changed["name"]) == ("update", "Token Prices / Reasoning")
    assert changed["fields"] == [{"field": "model.amount", "before": "0.0000044", "after": "0.000004"}]
    assert applied(api, document) == {"unchanged"}
    reasoning = next(found for found in api.get("/prices")["data"] if found["name"] == "Reasoning")
    assert [version["applies_to"] for version in reasoning["versions"]] == ["all", "new_subscriptions"]


def test_a_file_cannot_change_what_a_price_is(api: Api) -> None:
    document = catalog(meters=[], companies=[])
    applied(api, document)
    document["plans"][0]["prices"][4] |= {"tax_behavior": "inclusive", "effective_at": "2027-01-01T00:00:00Z"}
    assert list(api.refused("/catalog/apply", {"catalog": document})) == ["catalog.plans[0].prices[4].tax_behavior"]


def test_a_file_cannot_change_a_subscriptions_time_zone(api: Api) -> None:
    document = catalog()
    applied(api, document)
    entry = document["companies"][0]["subscriptions"][0]
    entry["time_zone"] = "Europe/Paris"
    assert list(api.refused("/catalog/apply", {"catalog": document})) == [
        "catalog.companies[0].subscriptions[0].time_zone"
    ]
