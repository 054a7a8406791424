"""Limits through the management API."""

from datetime import timedelta
from typing import Any

import pytest

from tests.api.world import NOW, Api, Json
from tests.services.world import Call

DAILY: Json = {"name": "Daily", "subject": "company", "measure": "requests", "per": "day", "amount": "3"}


def test_a_limit_has_defaults_for_all_but_whose_what_and_how_much(api_on_both: Api) -> None:
    limit = api_on_both.post("/limits", DAILY)
    assert limit["limit_id"].startswith("lim_")
    assert {name: limit[name] for name in DAILY} == DAILY
    assert (limit["hard"], limit["routes"], limit["alert_at"], limit["time_zone"]) == (True, [], [80, 100], "UTC")
    assert api_on_both.get(f"/limits/{limit['limit_id']}") == limit
    assert api_on_both.get("/limits")["data"] == [limit]


def test_name_amount_hardness_and_alerts_change_and_nothing_else(api: Api) -> None:
    limit = api.post("/limits", DAILY)
    path = f"/limits/{limit['limit_id']}"
    changes: dict[str, Any] = {"name": "Per day", "amount": "4", "hard": False, "alert_at": [50]}
    assert api.patch(path, changes) == limit | changes
    assert list(api.refused(path, {"per": "week"}, method="PATCH")) == ["per"]


def test_a_deleted_limit_is_gone(api: Api) -> None:
    limit = api.post("/limits", DAILY)
    assert api.ask("DELETE", f"/limits/{limit['limit_id']}").status_code == 204
    assert api.ask("GET", f"/limits/{limit['limit_id']}").status_code == 404
    assert api.ask("GET", f"/limits/{limit['limit_id']}/usage").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "many"}, "amount"),
        ({"amount": "1.5"}, "amount"),
        ({"subject_id": "nobody"}, "subject_id"),
        ({"subject": "key", "subject_id": "nobody"}, "subject_id"),
        ({"subject": "user", "subject_id": "nobody"}, "subject_id"),
        ({"plan_id": "pln_none"}, "plan_id"),
        ({"measure": "spend"}, "currency"),
        ({"measure": "spend", "currency": "XXX"}, "currency"),
        ({"measure": "meter", "meter_id": "mtr_none"}, "meter_id"),
        ({"per": "minute", "hard": False}, "hard"),
        ({"per": "year"}, "per"),
        ({"time_zone": "Nowhere/City"}, "time_zone"),
        ({"routes": ["("]}, "routes[0]"),
        ({"alert_at": [0]}, "alert_at[0]"),
        ({"who": "all"}, "who"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(api: Api, change: Json, field: str) -> None:
    assert list(api.refused("/limits", DAILY | change)) == [field]
    assert api.get("/limits")["data"] == []


def test_a_meter_that_does_not_add_up_has_no_quota(api: Api) -> None:
    api.seed()
    price_id = api.get("/prices")["data"][0]["price_id"]
    metric = {"type": "unique", "field": "user_id"}
    meter = api.post("/meters", {"name": "Users", "price_id": price_id, "metric": metric, "filter": {"all": []}})
    body = DAILY | {"measure": "meter", "meter_id": meter["meter_id"]}
    assert list(api.refused("/limits", body)) == ["meter_id"]


def test_a_name_is_taken_once(api: Api) -> None:
    api.post("/limits", DAILY)
    assert list(api.refused("/limits", DAILY, status=409)) == ["name"]


def test_usage_says_what_each_subject_used_in_each_period(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe()
    limit = api.post("/limits", DAILY)
    path = f"/limits/{limit['limit_id']}/usage"
    assert api.get(path) == {"data": [], "next_cursor": None}
    api.take(*(Call(request_id=f"a{number}", sequence=number) for number in (1, 2, 3)))
    api.clock.at = NOW + timedelta(days=1)
    api.take(Call(request_id="b", sequence=4, occurred_at=api.clock.at))
    first, second = api.get(path)["data"]
    assert first == {
        "limit_id": limit["limit_id"],
        "subject_id": "acme",
        "company_id": "acme",
        "period_start": "2026-03-10T00:00:00Z",
        "period_end": "2026-03-11T00:00:00Z",
        "used": "3",
        "amount": "3",
        "remaining": "0",
        "reached": True,
    }
    assert (second["used"], second["remaining"], second["reached"]) == ("1", "2", False)
    assert api.get(f"{path}?at=2026-03-11T12:00:00Z")["data"] == [second]
    assert api.get(f"{path}?subject_id=nobody")["data"] == []
    part = api.get(f"{path}?limit=1")
    assert part["data"] == [first]
    assert api.get(f"{path}?limit=1&cursor={part['next_cursor']}") == {"data": [second], "next_cursor": None}


def test_money_is_limited_in_its_currency(api: Api) -> None:
    api.subscribe()
    body = DAILY | {"measure": "spend", "currency": "USD", "amount": "0.50", "per": "total"}
    limit = api.post("/limits", body)
    api.take(Call(request_id="a", completion_tokens=0))
    (use,) = api.get(f"/limits/{limit['limit_id']}/usage")["data"]
    assert (use["used"], use["period_end"], use["reached"]) == ("0.50", None, True)


def test_a_catalog_file_makes_and_changes_limits(api: Api) -> None:
    entry = {"name": "Quota", "subject": "key", "plan": "My AI API Plan", "measure": "tokens", "per": "month"}
    quota = entry | {"measure": "meter", "meter": "Input Token Meter", "name": "Metered"}

    def apply(*limits: Json) -> list[str]:
        applied = api.post("/catalog/apply", {"catalog": {"limits": list(limits)}})
        return [difference["action"] for difference in applied["differences"]]

    api.seed()
    both = entry | {"amount": "10"}, quota | {"amount": "10"}
    assert apply(*both) == ["create", "create"]
    assert apply(*both) == ["unchanged", "unchanged"]
    assert apply(entry | {"amount": "20", "hard": False, "alert_at": [90]}) == ["update"]
    assert [limit["amount"] for limit in api.get("/limits")["data"]] == ["20", "10"]
    body = {"catalog": {"limits": [entry | {"amount": "20", "per": "week"}]}}
    assert list(api.refused("/catalog/apply", body)) == ["catalog.limits[0].per"]
    body = {"catalog": {"limits": [quota | {"amount": "1", "meter": "None", "name": "Other"}]}}
    assert list(api.refused("/catalog/apply", body)) == ["catalog.limits[0].meter"]
    body = {"catalog": {"limits": [entry | {"amount": "1"}, entry | {"amount": "1"}]}}
    assert list(api.refused("/catalog/apply", body)) == ["catalog.limits[1].name"]
