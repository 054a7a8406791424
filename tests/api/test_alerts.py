"""Alerts through the management API."""

import pytest

from tests.api.world import Api, Json
from tests.services.world import Call

DAILY: Json = {"name": "Daily", "subject": "company", "measure": "requests", "per": "day", "amount": "2"}


def test_alerts_are_listed_newest_first_with_how_their_deliveries_stand(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe()
    made = api.post("/alert-destinations", {"url": "https://example.com/hook"})
    limit = api.post("/limits", DAILY | {"alert_at": [50, 100]})
    api.take(Call(request_id="a"))
    api.take(Call(request_id="b", sequence=2))
    newest, oldest = api.get("/alerts")["data"]
    assert (oldest["percent"], newest["percent"]) == (50, 100)
    assert newest == {
        "alert_id": newest["alert_id"],
        "kind": "limit",
        "source_id": limit["limit_id"],
        "name": "Daily",
        "subject": "company",
        "subject_id": "acme",
        "company_id": "acme",
        "period_start": "2026-03-10T00:00:00Z",
        "period_end": "2026-03-11T00:00:00Z",
        "percent": 100,
        "measured": "2",
        "amount": "2",
        "unit": "requests",
        "created_at": "2026-03-10T12:00:00Z",
    }
    waiting = {
        "destination_id": made["destination_id"],
        "status": "waiting",
        "failures": 0,
        "last_error": None,
        "retry_at": None,
        "delivered_at": None,
    }
    assert api.get(f"/alerts/{newest['alert_id']}") == newest | {"deliveries": [waiting]}
    assert api.get("/alerts?company_id=other")["data"] == []
    part = api.get("/alerts?limit=1")
    assert api.get(f"/alerts?limit=1&cursor={part['next_cursor']}")["data"] == [oldest]
    assert api.ask("GET", "/alerts/alr_none").status_code == 404


def test_a_destinations_secret_is_shown_once(api: Api) -> None:
    made = api.post("/alert-destinations", {"url": "https://example.com/hook"})
    assert made["secret"].startswith("whsec_")
    (listed,) = api.get("/alert-destinations")["data"]
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    assert api.post("/alert-destinations", {"email": "ops@example.com"})["secret"] is None
    assert list(api.refused("/alert-destinations", {"email": "ops@example.com"}, status=409)) == ["email"]
    assert api.ask("DELETE", f"/alert-destinations/{made['destination_id']}").status_code == 204
    assert api.ask("DELETE", f"/alert-destinations/{made['destination_id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "https://example.com/", "email": "ops@example.com"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://user:password@example.com/"}, "url"),
        ({"url": "https://example.com/\n"}, "url"),
        ({"email": "ops"}, "email"),
        ({"email": "ops@example.com\n"}, "email"),
        ({"email": "ops@example.com\r\nBcc: all@example.com"}, "email"),
    ],
)
def test_a_destination_is_one_address(api: Api, body: Json, field: str) -> None:
    assert list(api.refused("/alert-destinations", body)) == [field]


def test_balances_are_watched_and_no_more(api: Api) -> None:
    subscription_id = api.subscribe()
    watching = api.post("/balance-alerts", {"name": "Low", "below_amount": "5", "currency": "USD"})
    assert api.get("/balance-alerts")["data"] == [watching]
    api.grant(subscription_id, "1")
    (alert,) = api.get("/alerts")["data"]
    assert (alert["kind"], alert["measured"], alert["amount"], alert["unit"]) == ("balance", "1.00", "5", "USD")
    path = f"/balance-alerts/{watching['balance_alert_id']}"
    assert api.ask("DELETE", path).status_code == 204
    assert api.ask("DELETE", path).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"below_amount": "5"}, "currency"),
        ({"below_percent": 101}, "below_percent"),
        ({}, "below_amount"),
        ({"below_percent": 10, "subscription_id": "sub_none"}, "subscription_id"),
    ],
)
def test_a_balance_alert_is_one_threshold(api: Api, body: Json, field: str) -> None:
    assert list(api.refused("/balance-alerts", {"name": "Low"} | body)) == [field]
    api.post("/balance-alerts", {"name": "Low", "below_percent": 10})
    assert list(api.refused("/balance-alerts", {"name": "Low", "below_percent": 10}, status=409)) == ["name"]
