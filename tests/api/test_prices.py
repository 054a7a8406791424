from typing import Any

import pytest

from tests.api.world import Api

TIERS = [{"up_to": "1000", "unit": "0.01"}, {"unit": "0.005", "flat": "1"}]
PER_UNIT = {"type": "per_unit", "amount": "0.01"}
MODELS: list[dict[str, Any]] = [
    {"type": "flat", "amount": "20"},
    PER_UNIT,
    {"type": "package", "amount": "0.50", "size": "1000", "round": "down"},
    {"type": "graduated", "tiers": TIERS},
    {"type": "volume", "tiers": TIERS},
    {
        "type": "percentage",
        "percent": "2.9",
        "fixed": "0.30",
        "minimum": "0.50",
        "maximum": "10",
        "free_events": 5,
        "free_value": "100",
    },
    {
        "type": "by_dimension",
        "fields": ["request.body.model"],
        "table": [{"values": ["gpt-4o"], "model": {"type": "per_unit", "amount": "0.0000025"}}],
        "default": {"type": "package", "amount": "1", "size": "1000000", "round": "up"},
    },
]
ADJUSTMENTS = {
    "included_units": "100",
    "discounts": [{"percent": "10"}, {"amount": "5"}],
    "maximum_spend": "500",
    "commitment": {"amount": "50", "overage": "1.5"},
}


def a_plan(api: Api) -> str:
    plan_id: str = api.post("/plans", {"name": "Plan"})["plan_id"]
    return plan_id


def a_price(api: Api, plan_id: str, **changes: object) -> dict[str, Any]:
    made: dict[str, Any] = api.post(
        "/prices", {"plan_id": plan_id, "name": "Tokens", "model": PER_UNIT, "currency": "USD"} | changes
    )
    return made


@pytest.mark.parametrize("model", MODELS, ids=[model["type"] for model in MODELS])
def test_every_model_is_read_back_as_it_was_sent(api_on_both: Api, model: dict[str, Any]) -> None:
    made = a_price(api_on_both, a_plan(api_on_both), model=model)
    assert api_on_both.get(f"/prices/{made['price_id']}") == made
    kept = made["model"]
    if "tiers" in model:
        assert [tier["unit"] for tier in kept["tiers"]] == [tier["unit"] for tier in TIERS]
        assert [tier["flat"] for tier in kept["tiers"]] == ["0", "1"]
    else:
        assert kept == model


def test_adjustments_and_currencies_are_read_back_as_they_were_sent(api_on_both: Api) -> None:
    options = {"EUR": {"model": {"type": "per_unit", "amount": "0.009"}}, "JPY": {"model": PER_UNIT}}
    made = a_price(api_on_both, a_plan(api_on_both), adjustments=ADJUSTMENTS, currency_options=options)
    assert made["adjustments"] == ADJUSTMENTS | {"minimum_spend": None}
    assert made["currency_options"] == options
    assert api_on_both.get("/prices")["data"] == [made]


def test_a_subscription_may_pay_in_any_currency_that_all_prices_have(api: Api) -> None:
    plan_id = a_plan(api)
    a_price(api, plan_id, currency_options={"EUR": {"model": PER_UNIT}})
    a_price(api, plan_id, name="More", currency="EUR", currency_options={"USD": {"model": PER_UNIT}})
    refused = api.refused("/prices", {"plan_id": plan_id, "name": "Yen", "model": PER_UNIT, "currency": "JPY"})
    assert "EUR, USD" in refused["currency"]
    api.post("/companies", {"company_id": "acme"})
    wanted = {"company_id": "acme", "plan_id": plan_id, "pays": "postpaid"}
    assert "has USD, EUR" in api.refused("/subscriptions", wanted | {"currency": "JPY"})["currency"]
    assert api.post("/subscriptions", wanted | {"currency": "EUR"})["currency"] == "EUR"


def test_a_change_is_a_version_and_the_price_shows_every_one(api_on_both: Api) -> None:
    api = api_on_both
    made = a_price(api, a_plan(api))
    changed = api.post(
        f"/prices/{made['price_id']}/versions",
        {
            "model": {"type": "per_unit", "amount": "0.02"},
            "effective_at": "2027-01-01T00:00:00Z",
            "applies_to": "new_subscriptions",
        },
    )
    assert (changed["price_id"], changed["model"]["amount"]) == (made["price_id"], "0.02")
    first, second = changed["versions"]
    assert (first["version_id"], first["version"], first["model"]["amount"]) == (made["price_id"], 1, "0.01")
    assert (second["version"], second["applies_to"], second["effective_at"]) == (
        2,
        "new_subscriptions",
        "2027-01-01T00:00:00Z",
    )
    assert api.get(f"/prices/{made['price_id']}") == changed
    assert [price["price_id"] for price in api.get("/prices")["data"]] == [made["price_id"]]


@pytest.mark.parametrize(
    ("version", "field"),
    [
        ({"model": PER_UNIT, "effective_at": "2020-01-01T00:00:00Z"}, "effective_at"),
        ({"model": PER_UNIT, "currency_options": {}}, "currency_options.EUR"),
        ({"model": PER_UNIT, "currency_options": {"USD": {"model": PER_UNIT}}}, "currency_options.USD"),
        (
            {"model": {"type": "per_unit", "amount": "-1"}, "currency_options": {"EUR": {"model": PER_UNIT}}},
            "model.amount",
        ),
        (
            {"model": PER_UNIT, "currency_options": {"EUR": {"model": {"type": "flat", "amount": "-1"}}}},
            "currency_options.EUR.model.amount",
        ),
    ],
)
def test_a_version_that_cannot_be_names_its_field(api: Api, version: dict[str, Any], field: str) -> None:
    made = a_price(api, a_plan(api), currency_options={"EUR": {"model": PER_UNIT}})
    assert list(api.refused(f"/prices/{made['price_id']}/versions", version)) == [field]


def test_a_version_of_an_unknown_price_is_not_found(api: Api) -> None:
    assert api.ask("POST", "/prices/prc_none/versions", body=b'{"model":{"type":"flat","amount":1}}').status_code == 404


@pytest.mark.parametrize(
    ("price", "field"),
    [
        ({"model": {"type": "barter"}}, "model.type"),
        ({"model": {"type": "volume", "tiers": [{"up_to": 5, "unit": 1}]}}, "model.tiers[0].up_to"),
        (
            {"model": {"type": "by_dimension", "fields": ["weather"], "table": [{"values": ["a"], "model": PER_UNIT}]}},
            "model.fields[0]",
        ),
        (
            {
                "model": {
                    "type": "by_dimension",
                    "fields": ["request.body.m[*]"],
                    "table": [{"values": ["a"], "model": PER_UNIT}],
                }
            },
            "model.fields[0]",
        ),
        (
            {
                "model": {
                    "type": "by_dimension",
                    "fields": ["user_id"],
                    "table": [{"values": ["a"], "model": PER_UNIT}, {"values": ["a"], "model": PER_UNIT}],
                }
            },
            "model.table[1].values",
        ),
        ({"adjustments": {"discounts": [{"percent": 1, "amount": 1}]}}, "adjustments.discounts[0]"),
        ({"adjustments": {"discounts": [{}]}}, "adjustments.discounts[0]"),
        ({"adjustments": {"minimum_spend": 9, "commitment": {"amount": 9}}}, "adjustments.minimum_spend"),
        ({"currency_options": {"XXX": {"model": PER_UNIT}}}, "currency_options.XXX"),
        ({"period": "fortnight"}, "period"),
    ],
)
def test_a_price_that_cannot_be_names_its_field(api: Api, price: dict[str, Any], field: str) -> None:
    body = {"plan_id": a_plan(api), "name": "Tokens", "model": PER_UNIT, "currency": "USD"} | price
    refused = api.refused("/prices", body)
    assert list(refused) == [field]
    if field == "model.type":
        assert "'by_dimension'" in refused[field]


def test_all_prices_of_a_plan_have_one_period_and_its_subscriptions_have_it_too(api: Api) -> None:
    plan_id = a_plan(api)
    a_price(api, plan_id, period="week")
    body = {"plan_id": plan_id, "name": "Other", "model": PER_UNIT, "currency": "USD"}
    assert "'week'" in api.refused("/prices", body)["period"]
    api.post("/companies", {"company_id": "acme"})
    made = api.post("/subscriptions", {"company_id": "acme", "plan_id": plan_id, "pays": "postpaid"})
    assert made["period"] == "week"
    other = api.post("/plans", {"name": "Empty"})["plan_id"]
    api.post("/subscriptions", {"company_id": "acme", "plan_id": other, "pays": "postpaid", "currency": "USD"})
    refused = api.refused("/prices", body | {"plan_id": other, "period": "year"})
    assert "subscriptions" in refused["period"]


def test_a_strict_route_takes_no_prepaid_price_whose_cost_has_no_bound(api: Api) -> None:
    api.subscribe()
    meter = api.get("/meters")["data"][0]
    version = {"model": {"type": "flat", "amount": "1"}}
    refused = api.refused(f"/prices/{meter['price_id']}/versions", version)
    assert "even if nothing is used" in refused["model"]
    table = {"type": "by_dimension", "fields": ["request.body.model"], "table": [{"values": ["a"], "model": PER_UNIT}]}
    assert len(api.post(f"/prices/{meter['price_id']}/versions", {"model": table})["versions"]) == 2


def test_a_subscription_runs_in_its_customers_time_zone_with_a_trial(api_on_both: Api) -> None:
    api = api_on_both
    plan_id = a_plan(api)
    a_price(api, plan_id)
    api.post("/companies", {"company_id": "acme"})
    wanted = {"company_id": "acme", "plan_id": plan_id, "pays": "postpaid", "started_at": "2026-03-01T00:00:00Z"}
    for field, value in (
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "../etc"),
        ("trial_ends_at", "2026-03-01T00:00:00Z"),
    ):
        assert list(api.refused("/subscriptions", wanted | {field: value})) == [field]
    cycle = {
        "time_zone": "America/New_York",
        "alignment": "calendar",
        "trial_ends_at": "2026-03-15T00:00:00Z",
    }
    made = api.post("/subscriptions", wanted | cycle)
    assert {name: made[name] for name in cycle} == cycle
    assert api.get(f"/subscriptions/{made['subscription_id']}") == made


def test_a_subscription_is_paused_resumed_and_ended(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe()
    path = f"/subscriptions/{subscription_id}"
    assert api.post(f"{path}/pause", {})["pauses"][0]["end"] is None
    assert list(api.refused(f"{path}/pause", {}, status=409)) == ["subscription_id"]
    assert api.post(f"{path}/resume", {})["pauses"][0]["end"] is not None
    assert list(api.refused(f"{path}/resume", {}, status=409)) == ["subscription_id"]
    ended = api.post(f"{path}/cancel", {})
    assert ended["ends_at"] > ended["started_at"]
    assert api.post(f"{path}/cancel", {"at": "now"})["ends_at"] < ended["ends_at"]
    assert list(api.refused(f"{path}/cancel", {}, status=409)) == ["subscription_id"]
