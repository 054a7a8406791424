from datetime import UTC, datetime, timedelta

import pytest

from faregate.services import list_events
from tests.api.world import NOW, Api, problem
from tests.builders import event_json
from tests.services.world import Call


def test_an_event_is_cancelled_and_shows_what_corrected_it(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe(pays="postpaid")
    api.take(Call(request_id="req_9", prompt_tokens=7, completion_tokens=0))
    asked = api.post("/events/evt_1/cancel", {"reason": "not theirs"}, idempotency_key="mistake-1")
    assert asked == {
        "correction_id": "mistake-1",
        "kind": "cancelled",
        "event_id": "evt_1",
        "replacement_event_id": None,
        "reason": "not theirs",
        "created_at": "2026-03-10T12:00:00Z",
        "applied_at": None,
    }
    api.take()
    event = api.get("/events/req_9")
    assert event["corrected_by"] == asked | {"applied_at": "2026-03-10T12:00:00Z"}
    shown = [(row["corrects"], row["quantity"], row["amount"]) for row in event["charges"] if row["quantity"] != "0"]
    assert shown == [(None, "7", "0.50"), ("evt_1", "-7", "-0.50")]
    assert api.get(f"/subscriptions/{subscription_id}/balance")["balance"] == "0.00"
    assert api.get("/usage?company_id=acme")["data"] == []
    assert api.get("/usage?company_id=acme&granularity=day")["data"] == []
    assert api.post("/events/req_9/cancel", {"reason": "again"}, idempotency_key="mistake-1") == event["corrected_by"]
    answer = api.ask("POST", "/events/evt_1/cancel", body=b"{}", idempotency_key="mistake-2")
    assert list(problem(answer, 409)) == ["event_id"]
    assert list(api.refused("/events/evt_1/cancel", {})) == ["Idempotency-Key"]
    assert problem(api.ask("POST", "/events/evt_9/cancel", body=b"{}", idempotency_key="m"), 404) == {}


def test_an_event_is_corrected_by_a_merge_patch_with_exact_numbers(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe(pays="postpaid")
    api.take(Call(request_id="req_9", prompt_tokens=7, completion_tokens=None))
    exact = "12345678901234567.123456789012"
    body = f'{{"event":{{"response":{{"body":{{"usage":{{"prompt_tokens":{exact},"completion_tokens":3}}}}}}}}}}'
    answer = api.ask("POST", "/events/evt_1/correct", body=body.encode(), idempotency_key="c1")
    assert answer.json()["replacement_event_id"] == "evt_3"
    api.take()
    event = api.get("/events/evt_3")
    assert (event["corrects"], event["corrected_by"], event["request_id"]) == ("evt_1", None, "req_9")
    assert [charge["quantity"] for charge in event["charges"]] == [exact, "3"]
    assert api.get("/unmeterable")["data"] == []
    refused = api.ask("POST", "/events/evt_3/correct", body=b'{"event":[]}', idempotency_key="c2")
    assert list(problem(refused, 400)) == ["event"]


def test_an_events_cancellation_in_an_invoiced_month_is_an_adjustment(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe(pays="postpaid")
    api.take(*(Call(request_id=f"r{n}", prompt_tokens=800_000, completion_tokens=0, sequence=n) for n in (1, 2)))
    api.post("/clock/advance", {"to": "2026-04-01T00:02:00Z"})
    api.post("/events/r1/cancel", {}, idempotency_key="c1")
    api.take(
        Call(
            request_id="r3",
            prompt_tokens=0,
            completion_tokens=1,
            sequence=3,
            occurred_at=datetime(2026, 4, 1, tzinfo=UTC),
        )
    )
    api.post("/clock/advance", {"to": "2026-05-01T00:02:00Z"})
    (row,) = api.get("/adjustments")["data"]
    assert (row["source"], row["source_id"], row["quantity"], row["amount"]) == (
        "correction",
        "correction:c1",
        "-800000",
        "-0.50",
    )
    first, second = api.get("/invoices")["data"]
    assert (first["total"], second["total"]) == ("1.00", "1.00")
    assert [(line["quantity"], line["amount"]) for line in second["lines"]] == [("1", "1.50"), ("-800000", "-0.50")]


def test_events_are_found_by_request_transaction_company_and_time(api_on_both: Api) -> None:
    api = api_on_both
    api.subscribe()
    api.take_bodies(
        *(event_json(company_id="acme", transaction_id=f"tx_{n}") for n in range(3)),
        Call(request_id="req_1", company_id="other", occurred_at=NOW - timedelta(hours=1)).body(),
        b"not json",
    )
    api.post("/events/evt_2/cancel", {}, idempotency_key="c1")
    api.take()
    found = api.get("/events")["data"]
    assert [(row["event_id"], row["counts"]) for row in found] == [
        ("evt_4", True),
        ("evt_1", True),
        ("evt_2", False),
        ("evt_3", True),
    ]
    pages = []
    path = "/events?company_id=acme&limit=1"
    while path:
        page = api.get(path)
        pages += page["data"]
        path = page["next_cursor"] and f"/events?company_id=acme&limit=1&cursor={page['next_cursor']}"
    assert [row["event_id"] for row in pages] == ["evt_1", "evt_2", "evt_3"]
    assert [row["event_id"] for row in api.get("/events?transaction_id=tx_2")["data"]] == ["evt_3"]
    assert [row["event_id"] for row in api.get("/events?request_id=req_1")["data"]] == ["evt_4"]
    for query in (
        "request_id=req_1&company_id=acme",
        "request_id=req_1&transaction_id=tx_1",
        "request_id=req_1&from=2026-03-10T12:00:00Z",
        "request_id=req_1&to=2026-03-10T10:00:00Z",
        "request_id=unknown",
        "company_id=nobody",
        "from=2026-03-11T00:00:00Z",
        "to=2026-03-09T00:00:00Z",
    ):
        assert api.get(f"/events?{query}") == {"data": [], "next_cursor": None}
    assert list(problem(api.ask("GET", "/events?from=2026-03-11T00:00:00Z&to=2026-03-10T00:00:00Z"), 400)) == ["to"]


def test_a_search_for_a_transaction_goes_on_where_it_stopped(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_events, "MOST_LOOKED_AT", 2)
    api.take_bodies(*(event_json(company_id="acme", transaction_id=f"tx_{n}") for n in range(5)))
    page, found = api.get("/events?transaction_id=tx_4"), []
    while page["next_cursor"]:
        found += page["data"]
        page = api.get(f"/events?transaction_id=tx_4&cursor={page['next_cursor']}")
    assert [row["event_id"] for row in found + page["data"]] == ["evt_5"]
