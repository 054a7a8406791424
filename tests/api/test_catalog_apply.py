from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.api.world import ROUTE, SEED, Api, opened_api
from tests.services.world import Call

COMPANY = {
    "company_id": "acme",
    "users": [{"user_id": "ann"}],
    "subscriptions": [{"plan": "My AI API Plan", "pays": "prepaid", "started_at": "2026-03-01T00:00:00Z"}],
}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API to which the file has been applied: what is refused leaves it as it is."""
    folder = tmp_path_factory.mktemp("standing")
    with opened_api(f"sqlite:///{folder / 'faregate.sqlite3'}", folder) as api:
        _apply(api, _changed())
        yield api


def _apply(api: Api, catalog: dict[str, Any], *, dry_run: bool = False) -> list[dict[str, Any]]:
    applied = api.post("/catalog/apply", {"catalog": catalog, "dry_run": dry_run})
    assert applied["dry_run"] is dry_run
    differences: list[dict[str, Any]] = applied["differences"]
    return differences


def _changed(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a JSON document
    return deepcopy(SEED) | {"companies": [COMPANY]} | changes


def test_a_file_makes_all_that_it_names_and_then_nothing_more(api_on_both: Api) -> None:
    api = api_on_both
    made = _apply(api, _changed())
    assert [(difference["kind"], difference["name"]) for difference in made] == [
        ("plan", "My AI API Plan"),
        ("price", "My AI API Plan / Input Tokens"),
        ("price", "My AI API Plan / Output Tokens"),
        ("meter", "Input Token Meter"),
        ("meter", "Output Token Meter"),
        ("route", ROUTE),
        ("rule", "Block When No Available Credits"),
        ("rule", "Block On Unpaid Invoices"),
        ("company", "acme"),
        ("user", "ann"),
        ("subscription", "acme / My AI API Plan"),
    ]
    assert {difference["action"] for difference in made} == {"create"}
    before = api.row_counts()
    again = _apply(api, _changed())
    assert {difference["action"] for difference in again} == {"unchanged"}
    assert api.row_counts() == before


def test_a_dry_run_tells_the_difference_and_keeps_nothing(api_on_both: Api) -> None:
    before = api_on_both.row_counts()
    told = _apply(api_on_both, _changed(), dry_run=True)
    assert api_on_both.row_counts() == before
    assert told == _apply(api_on_both, _changed())


def test_what_differs_is_changed_and_told_field_by_field(api_on_both: Api) -> None:
    api = api_on_both
    _apply(api, _changed())
    catalog = _changed()
    catalog["routes"][0]["on_abort"] = "cancel"
    catalog["rules"][0]["block_what"] = []
    catalog["rules"][1]["refusal"] = {"status": 403}
    catalog["meters"][0]["filter"]["all"].pop()
    catalog["companies"] = [COMPANY | {"name": "Acme", "users": [{"user_id": "ann", "name": "Ann"}]}]
    changed = [difference for difference in _apply(api, catalog) if difference["action"] == "update"]
    assert [(difference["kind"], [field["field"] for field in difference["fields"]]) for difference in changed] == [
        ("meter", ["filter.all[1].field", "filter.all[1].operator", "filter.all[1].value"]),
        ("route", ["on_abort"]),
        ("rule", ["block_what[0].field", "block_what[0].pattern"]),
        ("rule", ["refusal.status"]),
        ("company", ["name"]),
        ("user", ["name"]),
    ]
    assert changed[1]["fields"] == [{"field": "on_abort", "before": "drain", "after": "cancel"}]
    assert api.get("/routes")["data"][0]["on_abort"] == "cancel"
    assert api.get("/companies/acme")["name"] == "Acme"


def test_what_the_application_has_beyond_the_file_is_left_alone(api: Api) -> None:
    _apply(api, _changed())
    assert _apply(api, {}) == []
    assert len(api.get("/rules")["data"]) == 2


def test_an_amount_written_with_other_zeros_is_the_same_amount(api: Api) -> None:
    _apply(api, _changed())
    catalog = _changed()
    catalog["plans"][0]["prices"][0]["model"] |= {"amount": "0.5", "size": "1000000.0"}
    assert {difference["action"] for difference in _apply(api, catalog)} == {"unchanged"}


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["plans", 0, "prices", 0, "model", "amount"], "0.60", "plans[0].prices[0].model.amount"),
        (["plans", 0, "prices", 0, "model", "amount"], "-1", "plans[0].prices[0].model.amount"),
        (["plans", 0, "prices", 1, "name"], "Input Tokens", "plans[0].prices[1].name"),
        (["plans", 0, "prices", 1, "currency"], "EUR", "plans[0].prices[1].currency"),
        (["plans", 0, "prices", 1, "colour"], "red", "plans[0].prices[1].colour"),
        (["meters", 1, "name"], "Input Token Meter", "meters[1].name"),
        (["meters", 0, "plan"], "No Plan", "meters[0].plan"),
        (["meters", 0, "price"], "No Price", "meters[0].price"),
        (["meters", 0, "price"], "Output Tokens", "meters[0].price"),
        (["meters", 0, "metric", "field"], "usage", "meters[0].metric.field"),
        (["meters", 0, "metric", "field"], "response.body.characters", "meters[0].metric.field"),
        (["routes", 0, "upstream_url"], "nowhere", "routes[0].upstream_url"),
        (["rules", 0, "block_what", 0, "pattern"], "(", "rules[0].block_what[0].pattern"),
        (["rules", 1, "template"], "block_when_no_available_credits", "rules[1].name"),
        (["companies", 0, "company_id"], "a b", "companies[0].company_id"),
        (["companies", 0, "subscriptions", 0, "plan"], "No Plan", "companies[0].subscriptions[0].plan"),
        (["companies", 0, "subscriptions", 0, "pays"], "postpaid", "companies[0].subscriptions[0].pays"),
        (
            ["companies", 0, "subscriptions", 0, "payment_terms_days"],
            7,
            "companies[0].subscriptions[0].payment_terms_days",
        ),
        (
            ["companies", 0, "subscriptions", 0, "started_at"],
            "2026-03-02T00:00:00Z",
            "companies[0].subscriptions[0].started_at",
        ),
    ],
)
def test_a_file_with_a_fault_changes_nothing_and_names_the_field(
    standing: Api, path: list[str | int], value: object, field: str
) -> None:
    catalog: Any = deepcopy(_changed())
    catalog["routes"].append({"name": "/new", "upstream_url": "http://127.0.0.1:1"})
    place = catalog
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    before = standing.row_counts()
    assert list(standing.refused("/catalog/apply", {"catalog": catalog})) == [f"catalog.{field}"]
    assert standing.row_counts() == before


def test_every_fault_of_a_file_is_told_at_once_and_none_twice(api: Api) -> None:
    catalog = deepcopy(_changed())
    catalog["plans"][0]["prices"][0]["model"]["amount"] = "-1"
    catalog["routes"][0]["upstream_url"] = "nowhere"
    catalog["rules"][0]["block_what"][0]["pattern"] = "("
    assert list(api.refused("/catalog/apply", {"catalog": catalog})) == [
        "catalog.plans[0].prices[0].model.amount",
        "catalog.routes[0].upstream_url",
        "catalog.rules[0].block_what[0].pattern",
    ]


def test_a_user_never_moves_and_a_rule_keeps_its_template(api: Api) -> None:
    _apply(api, _changed())
    moved = {"companies": [{"company_id": "beta", "users": [{"user_id": "ann"}]}]}
    assert list(api.refused("/catalog/apply", {"catalog": moved})) == ["catalog.companies[0].users[0].user_id"]
    rule = {"template": "block_on_unpaid_invoices", "name": "Block When No Available Credits"}
    assert list(api.refused("/catalog/apply", {"catalog": {"rules": [rule]}})) == ["catalog.rules[0].template"]


def test_a_file_is_judged_by_what_it_leads_to_and_not_by_its_order(api: Api) -> None:
    _apply(api, _changed())
    catalog = _changed()
    catalog["meters"][0]["metric"]["field"] = "response.body.characters"
    catalog["routes"][0]["enforce"] = "none"
    changed = [difference["kind"] for difference in _apply(api, catalog) if difference["action"] == "update"]
    assert changed == ["meter", "route"]
    strict = {"routes": [SEED["routes"][0]]}
    assert list(api.refused("/catalog/apply", {"catalog": strict})) == ["catalog.routes[0].enforce"]


@pytest.mark.parametrize(
    ("field", "value"), [("reporting_period", "1h"), ("group_by", ["user_id"]), ("metric", {"type": "count"})]
)
def test_a_file_changes_a_meter_only_before_it_counts(api: Api, field: str, value: object) -> None:
    api.subscribe()
    catalog = {"meters": [SEED["meters"][0] | {field: value}], "routes": [SEED["routes"][0] | {"enforce": "none"}]}
    differences = api.post("/catalog/apply", {"catalog": catalog, "dry_run": True})["differences"]
    assert [difference["kind"] for difference in differences if difference["action"] == "update"] == ["meter", "route"]
    api.take(Call())
    assert list(api.refused("/catalog/apply", {"catalog": catalog})) == [f"catalog.meters[0].{field}"]
