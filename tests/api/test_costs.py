"""Cost prices, margins and warnings, as an operator's program asks for them."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from faregate.services.keep_margins import MarginKeeper
from tests.api.world import SEED, Api
from tests.services.world import Call

RATES = [
    {
        "kind": "input",
        "metric": {"type": "sum", "field": "response.body.usage.prompt_tokens"},
        "amount": "0.60",
        "per": 1_000_000,
    },
    {
        "kind": "output",
        "metric": {"type": "sum_of", "expression": "response.body.usage.completion_tokens"},
        "amount": "0.90",
        "per": 1_000_000,
    },
]
COST: dict[str, Any] = {
    "name": "upstream",
    "filter_text": "response.status == 200",
    "rates": RATES,
    "currency": "USD",
    "effective_at": "2026-01-01T00:00:00Z",
}
MARCH = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z"


def keep(api: Api) -> None:
    more = True
    while more:
        with api.database.begin() as transaction:
            more = MarginKeeper().keep_next(transaction)


def test_a_cost_price_is_made_listed_read_and_ended(api_on_both: Api) -> None:
    api = api_on_both
    made = api.post("/costs", COST)
    assert made["filter_text"] == "response.status == 200"
    assert (made["effective_at"], made["ends_at"]) == ("2026-01-01T00:00:00Z", None)
    assert [(rate["kind"], rate["amount"], rate["per"]) for rate in made["rates"]] == [
        ("input", "0.6", 1_000_000),
        ("output", "0.9", 1_000_000),
    ]
    version = api.post("/costs", COST | {"rates": [], "effective_at": "2026-04-01T02:00:00+02:00"})
    assert version["effective_at"] == "2026-04-01T00:00:00Z"
    assert api.get("/costs?limit=1")["data"] == [made]
    assert [cost["cost_id"] for cost in api.get("/costs")["data"]] == [made["cost_id"], version["cost_id"]]
    ended = api.post(f"/costs/{made['cost_id']}/archive", {})
    assert ended["ends_at"] == "2026-03-10T12:00:00Z"
    assert api.get(f"/costs/{made['cost_id']}") == ended
    assert api.ask("GET", "/costs/cst_none").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rates": [RATES[0] | {"amount": "0.0000000001"}]}, "rates[0].amount"),
        ({"rates": [RATES[0] | {"amount": "-1"}]}, "rates[0].amount"),
        ({"rates": [RATES[0] | {"amount": "10000", "per": 1}]}, "rates[0].amount"),
        ({"rates": [RATES[0], RATES[0]]}, "rates[1].kind"),
        ({"rates": [RATES[0] | {"metric": {"type": "sum", "field": "nothing"}}]}, "rates[0].metric.field"),
        ({"rates": [RATES[0] | {"per": 7}]}, "rates[0].per"),
        ({"filter_text": "request.route =="}, "filter_text"),
        ({"currency": "XXX"}, "currency"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_cost_price_that_cannot_be_is_told_which_field_is_wrong(api: Api, change: dict[str, Any], field: str) -> None:
    assert list(api.refused("/costs", COST | change)) == [field]


def test_a_margin_is_read_by_every_dimension(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe(pays="postpaid")
    api.post("/costs", COST)
    api.take(Call(prompt_tokens=1_000_000, completion_tokens=1_000_000), Call(request_id="bad", status=500, sequence=2))
    keep(api)
    report = api.get(f"/margin?{MARCH}")
    (row,) = [row for row in report["data"] if row["currency"]]
    assert row == {
        "value": "acme",
        "currency": "USD",
        "events": 1,
        "uncosted_events": 0,
        "revenue": "2.00",
        "uncosted_revenue": "0.00",
        "cost": "1.50",
        "margin": "0.50",
        "margin_percent": "25.00",
        "below_cost": False,
    }
    assert (report["behind_events"], report["days_recounted"], report["not_attributable"]) == (0, 0, [])
    for by in ("company", "model", "key", "route", "day"):
        assert sum(row["events"] for row in api.get(f"/margin?{MARCH}&by={by}")["data"]) == 2
    first = api.get(f"/margin?{MARCH}&limit=1")
    second = api.get(f"/margin?{MARCH}&limit=1&cursor={first['next_cursor']}")
    assert first["data"] + second["data"] == report["data"]
    assert second["next_cursor"] is None


def test_what_belongs_to_no_call_is_apart(api: Api) -> None:
    subscription_id = api.subscribe(pays="postpaid")
    api.grant(subscription_id, "5")
    api.take(Call(prompt_tokens=1))
    api.post("/costs", COST)
    keep(api)
    assert api.get(f"/margin?{MARCH}")["not_attributable"] == []


def test_a_price_below_its_cost_is_told_logged_and_in_the_answer_of_a_file(api: Api) -> None:
    api.seed()
    with capture_logs() as logs:
        api.post("/costs", COST)
    (entry,) = [log for log in logs if log["event"] == "price.below_cost"]
    assert (entry["price_name"], entry["price"]) == ("Input Tokens", "0.50 per 1000000")
    assert entry["cost"] == "0.6 per 1000000"
    (warning,) = api.get("/warnings")["data"]
    assert warning["message"] == (
        "'Input Tokens' sells at 0.50 per 1000000 USD, below its cost of 0.6 per 1000000 USD ('upstream', input)"
    )
    dry = api.post("/catalog/apply", {"catalog": SEED, "dry_run": True})
    assert dry["warnings"] == [warning]
    price_id = warning["price_id"]
    with capture_logs() as logs:
        model = {"type": "per_unit", "amount": "0.0000001"}
        api.post(f"/prices/{price_id}/versions", {"model": model, "effective_at": "2026-05-01T00:00:00Z"})
    assert [log["event"] for log in logs].count("price.below_cost") == 1
    assert len(api.get("/warnings")["data"]) == 2


def test_a_file_says_what_calls_cost(api_on_both: Api) -> None:
    api = api_on_both
    assert actions(api, COST) == ["create"]
    assert actions(api, COST | {"rates": [RATES[0] | {"amount": "0.6"}, RATES[1]]}) == ["unchanged"]
    dearer = COST | {"rates": [RATES[0] | {"amount": "0.70"}, RATES[1]]}
    assert actions(api, dearer | {"effective_at": "2026-03-11T00:00:00Z"}) == ["update"]
    assert actions(api, {name: value for name, value in dearer.items() if name != "effective_at"}) == ["unchanged"]
    without = {name: value for name, value in COST.items() if name != "effective_at"}
    faults = api.refused("/catalog/apply", {"catalog": SEED | {"costs": [without]}})
    assert faults == {
        "catalog.costs[0].rates[0].amount": "is 0.7; say from when other rates hold (effective_at)",
    }
    twice = api.refused("/catalog/apply", {"catalog": SEED | {"costs": [COST, COST]}})
    assert list(twice) == ["catalog.costs[1].name"]


def actions(api: Api, cost: dict[str, Any]) -> list[str]:
    applied = api.post("/catalog/apply", {"catalog": SEED | {"costs": [cost]}})
    return [one["action"] for one in applied["differences"] if one["kind"] == "cost"]
