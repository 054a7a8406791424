"""Reports of usage over the API."""

from datetime import timedelta

from sqlalchemy import update

from faregate.storage import tables
from tests.api.world import NOW, Api
from tests.services.world import Call


def reported(api: Api) -> None:
    """Two windows of a postpaid company that the provider was told of."""
    api.subscribe(pays="postpaid")
    api.take(Call(request_id="req_1", sequence=1, prompt_tokens=10, completion_tokens=20))
    api.clock.at = NOW + timedelta(minutes=10)
    api.post("/clock/advance", {"by_seconds": 60})


def refuse_one(api: Api) -> None:
    with api.database.begin() as transaction:
        of = tables.outbox.c.outbox_id == 1
        values = {"delivered_at": None, "failed_at": NOW, "failure": "refused", "last_error": "payload: is wrong"}
        transaction.execute(update(tables.outbox).where(of).values(**values))


def test_reports_are_listed_by_status_with_what_the_provider_was_told(api: Api) -> None:
    reported(api)
    refuse_one(api)
    found = api.get("/usage-reports")["data"]
    assert [(row["report_id"], row["status"], row["value"]) for row in found] == [
        ("rpt_1", "refused", "10"),
        ("rpt_2", "sent", "20"),
    ]
    assert found[0]["identifier"].endswith(":acme:2026-03-10T12:00:00.000000Z")
    assert found[0]["last_error"] == "payload: is wrong"
    for status, ids in (("sent", ["rpt_2"]), ("refused", ["rpt_1"]), ("waiting", []), ("lost", [])):
        assert [row["report_id"] for row in api.get(f"/usage-reports?status={status}")["data"]] == ids
    part = api.get("/usage-reports?limit=1")
    assert len(part["data"]) == 1
    assert api.get(f"/usage-reports?limit=1&cursor={part['next_cursor']}")["data"][0]["report_id"] == "rpt_2"
    assert api.get("/usage-reports?subscription_id=none")["data"] == []


def test_a_refused_report_is_sent_again_alone_or_with_all_others(api: Api) -> None:
    reported(api)
    refuse_one(api)
    again = api.post("/usage-reports/rpt_1/resend")
    assert (again["status"], again["resends"]) == ("waiting", 1)
    assert again["identifier"].endswith(":s1")
    api.post("/clock/advance", {"by_seconds": 60})
    assert api.get("/usage-reports?status=waiting")["data"] == []
    api.refused("/usage-reports/rpt_1/resend", None, status=409)
    refuse_one(api)
    assert api.post("/usage-reports/resend") == {"resent": 1}
