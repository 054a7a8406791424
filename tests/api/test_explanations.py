from datetime import UTC, datetime

from faregate.wire.gateway_protocol import AttemptFacts, WhenCreditEnds
from tests.api.world import Api, problem
from tests.services.world import Call


def _invoiced(api: Api) -> str:
    api.subscribe(pays="postpaid")
    for number in range(3):
        api.take(Call(request_id=f"req_{number}", sequence=number + 1, prompt_tokens=600_000, completion_tokens=1))
    api.post("/clock/advance", {"to": "2026-04-01T00:10:00Z"})
    for _ in range(3):
        if api.get("/invoices")["data"]:
            break
        api.post("/clock/advance", {"by_seconds": 60})
    invoice_id: str = api.get("/invoices")["data"][0]["invoice_id"]
    return invoice_id


def test_an_invoice_line_leads_to_its_windows_and_they_to_their_events(api_on_both: Api) -> None:
    api = api_on_both
    path = f"/invoices/{_invoiced(api)}/lines/1"
    line = api.get(f"{path}/explanation")
    assert (line["quantity"], line["amount"], line["debited"]) == ("1800000", "1.00", "1.00")
    assert [step["kind"] for step in line["steps"]] == ["used", "packages"]
    (window,) = api.get(f"{path}/windows")["data"]
    assert (window["quantity"], window["amount"], window["event_count"]) == ("1800000", "1.00", 3)
    events, cursor = [], ""
    while True:
        page = api.get(f"{path}/windows/{window['window']}/events?limit=2{cursor}")
        events += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [event["amount"] for event in events] == ["0.50", "0.50", "0.00"]
    explained = api.get(f"/events/{events[0]['event_id']}/explanation")
    counted = [meter["counted"] for meter in explained["meters"]]
    assert [one["invoice_line"] for one in counted] == [1, 2]
    assert counted[0]["entry"]["entry_id"] == events[0]["entry_id"]
    assert api.get("/events/req_0/explanation") == explained


def test_an_event_shows_every_attempt_of_its_call_and_bills_the_last(api: Api) -> None:
    api.subscribe(pays="postpaid")
    asked_at = datetime(2026, 3, 5, 12, tzinfo=UTC)
    usage: dict[str, object] = {"prompt_tokens": 7}
    failed = AttemptFacts(attempt=1, upstream="a.example:443", asked_at=asked_at, status=503, usage=usage)
    last = AttemptFacts(attempt=2, upstream="b.example:443", asked_at=asked_at, status=200)
    ended = WhenCreditEnds.END
    api.take(Call(prompt_tokens=600_000, completion_tokens=0, attempts=(failed, last), credit_ended=ended))
    explained = api.get("/events/req_1/explanation")
    shown = {"asked_at": "2026-03-05T12:00:00Z"}
    assert explained["attempts"] == [
        shown | {"attempt": 1, "upstream": "a.example:443", "status": 503, "usage": usage},
        shown | {"attempt": 2, "upstream": "b.example:443", "status": 200, "usage": None},
    ]
    assert explained["credit_ended"] == "end"
    assert sorted(meter["counted"]["quantity"] for meter in explained["meters"]) == ["0", "600000"]


def test_what_is_not_there_is_not_found(api: Api) -> None:
    invoice_id = _invoiced(api)
    for path in (
        f"/invoices/{invoice_id}/lines/3/explanation",
        f"/invoices/{invoice_id}/lines/0/windows",
        f"/invoices/{invoice_id}/lines/1/windows/nothing/events",
        "/invoices/in_9/lines/1/explanation",
        "/events/req_9/explanation",
        f"/invoices/{invoice_id}/lines/one/explanation",
    ):
        assert problem(api.ask("GET", path), 404) == {}
    assert problem(api.ask("GET", f"/invoices/{invoice_id}/lines/1/windows?cursor=x"), 400).keys() == {"cursor"}
