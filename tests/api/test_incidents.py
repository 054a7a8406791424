"""Incident credits, as an operator's program asks for them."""

from typing import Any

import pytest

from tests.api.world import Api
from tests.services.world import Call

INCIDENT: dict[str, Any] = {
    "id": "outage-1",
    "filter_text": 'request.route == "/ai/chat"',
    "from": "2026-03-10T11:00:00Z",
    "to": "2026-03-10T13:00:00Z",
    "reason": "the upstream answered with nothing",
}


def calls(api: Api) -> str:
    subscription_id = api.subscribe(pays="postpaid")
    api.take(*(Call(request_id=f"r{number}", sequence=number) for number in (1, 2)))
    return subscription_id


def test_an_incident_is_drafted_read_applied_and_undone(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = calls(api)
    drafted = api.post("/incident-credits", INCIDENT)
    assert (drafted["status"], drafted["matched"], drafted["percent"]) == ("draft", 2, "100")
    assert drafted["totals"] == [{"currency": "USD", "customers": 1, "charged": "2.00", "credit": "2.00"}]
    assert api.post("/incident-credits", INCIDENT) == drafted
    assert balance(api, subscription_id) == "-2.00"
    applied = api.post("/incident-credits/outage-1/apply")
    assert (applied["status"], applied["applied_at"]) == ("applied", "2026-03-10T12:00:00Z")
    assert api.post("/incident-credits/outage-1/apply") == applied
    assert balance(api, subscription_id) == "0.00"
    undone = api.post("/incident-credits/outage-1/undo")
    assert undone["status"] == "undone"
    assert balance(api, subscription_id) == "-2.00"
    assert api.get("/incident-credits/outage-1") == undone
    assert api.get("/incident-credits")["data"] == [undone]


def balance(api: Api, subscription_id: str) -> str:
    found: str = api.get(f"/subscriptions/{subscription_id}/balance")["balance"]
    return found


def test_what_customers_get_and_for_which_calls_is_read_in_parts(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = calls(api)
    api.post("/incident-credits", INCIDENT)
    api.post("/incident-credits/outage-1/apply")
    first = api.get("/incident-credits/outage-1/customers?limit=1")
    second = api.get(f"/incident-credits/outage-1/customers?limit=1&cursor={first['next_cursor']}")
    rows = first["data"] + second["data"]
    assert {(row["company_id"], row["subscription_id"], row["calls"]) for row in rows} == {("acme", subscription_id, 1)}
    assert sorted(row["credit"] for row in rows) == ["0.50", "1.50"]
    assert all(row["entry_id"] and row["undo_entry_id"] is None for row in rows)
    covered = api.get("/incident-credits/outage-1/calls?limit=1")
    rest = api.get(f"/incident-credits/outage-1/calls?cursor={covered['next_cursor']}")
    assert [row["event_id"] for row in covered["data"] + rest["data"]] == ["evt_1", "evt_1"]
    api.post("/incident-credits", INCIDENT | {"id": "outage-2"})
    again = api.get("/incident-credits/outage-2/customers")["data"]
    assert [(row["calls"], row["credit"], row["already_credited"]) for row in again] == [(0, "0.00", 1)] * 2
    assert len(api.get("/incident-credits?limit=1")["data"]) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": INCIDENT["from"]}, "to"),
        ({"percent": "0"}, "percent"),
        ({"filter_text": "=="}, "filter_text"),
        ({"reason": "nothing\n"}, "reason"),
    ],
)
def test_an_incident_that_cannot_be_is_told_which_field_is_wrong(api: Api, change: dict[str, Any], field: str) -> None:
    assert list(api.refused("/incident-credits", INCIDENT | change)) == [field]


def test_an_unknown_incident_is_not_found(api: Api) -> None:
    for path in ("", "/customers", "/calls"):
        assert api.ask("GET", f"/incident-credits/none{path}").status_code == 404
    for step in ("apply", "undo"):
        assert api.ask("POST", f"/incident-credits/none/{step}").status_code == 404


def test_what_is_not_applied_cannot_be_undone(api: Api) -> None:
    calls(api)
    api.post("/incident-credits", INCIDENT)
    assert api.ask("POST", "/incident-credits/outage-1/undo").status_code == 409
