from datetime import timedelta

from faregate.domain.billing.provider_events import ProviderEvent
from faregate.services.take_webhook import take_event
from faregate.storage.provider_events import mark_event_failed, mark_events_worked
from tests.api.world import NOW, Api, problem


def take(api: Api, *event_ids: str) -> None:
    with api.database.begin() as transaction:
        for place, event_id in enumerate(event_ids):
            event = ProviderEvent(
                event_id=event_id, kind="invoice.paid", object_id="in_1", is_live=False, created_at=NOW
            )
            take_event(transaction, event, received_at=NOW + timedelta(seconds=place))


def test_an_event_is_kept_once_and_shown(api_on_both: Api) -> None:
    api = api_on_both
    take(api, "evt_1", "evt_1")
    take(api, "evt_1")
    (row,) = api.get("/provider/events")["data"]
    assert row == {
        "event_id": "evt_1",
        "kind": "invoice.paid",
        "object_id": "in_1",
        "created_at": "2026-03-10T12:00:00Z",
        "source": "webhook",
        "received_at": "2026-03-10T12:00:00Z",
        "status": "waiting",
        "outcome": "",
        "attempts": 0,
        "retry_at": None,
        "worked_at": None,
        "last_error": None,
    }
    assert api.get("/provider/events/evt_1") == row
    assert problem(api.ask("GET", "/provider/events/evt_2"), 404) == {}


def test_events_are_listed_newest_first_in_parts_and_by_how_they_stand(api_on_both: Api) -> None:
    api = api_on_both
    take(api, "evt_1", "evt_2", "evt_3")
    with api.database.begin() as transaction:
        mark_events_worked(transaction, ["evt_1"], at=NOW, outcome="ignored")
        mark_event_failed(transaction, "evt_3", error="gone", retry_at=None, failed_at=NOW)
    first = api.get("/provider/events?limit=2")
    second = api.get(f"/provider/events?limit=2&cursor={first['next_cursor']}")
    assert [row["event_id"] for row in first["data"] + second["data"]] == ["evt_3", "evt_2", "evt_1"]
    for status, event_id in (("done", "evt_1"), ("waiting", "evt_2"), ("failed", "evt_3")):
        assert [row["event_id"] for row in api.get(f"/provider/events?status={status}")["data"]] == [event_id]


def test_a_replayed_event_waits_again(api_on_both: Api) -> None:
    api = api_on_both
    take(api, "evt_1")
    with api.database.begin() as transaction:
        mark_event_failed(transaction, "evt_1", error="gone", retry_at=None, failed_at=NOW)
    answer = api.ask("POST", "/provider/events/evt_1/replay")
    assert answer.status_code == 200, answer.text
    row = api.get("/provider/events/evt_1")
    assert (row["status"], row["attempts"], row["last_error"]) == ("waiting", 0, "gone")
    assert problem(api.ask("POST", "/provider/events/evt_2/replay"), 404) == {}
