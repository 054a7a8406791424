"""`/api/v1/reratings`: a correction is drafted, looked at, applied or cancelled, on both databases."""

from typing import Any

from tests.api.world import Api, problem
from tests.services.world import Call

SINCE = "2026-03-01T00:00:00Z"
DEARER: dict[str, Any] = {
    "plan": "My AI API Plan",
    "price": "Input Tokens",
    "model": {"type": "per_unit", "amount": "1"},
}


def _with_usage(api: Api) -> None:
    subscription = {"plan": "My AI API Plan", "pays": "postpaid", "started_at": SINCE}
    api.seed(companies=[{"company_id": company, "subscriptions": [subscription]} for company in ("acme", "globex")])
    api.take(
        Call(request_id="a", prompt_tokens=10, completion_tokens=0),
        Call(request_id="b", prompt_tokens=5, completion_tokens=0, sequence=2, company_id="globex"),
    )


def test_a_correction_is_drafted_looked_at_and_applied(api_on_both: Api) -> None:
    api = api_on_both
    _with_usage(api)
    drafted = api.post("/reratings", {"description": "wrong unit", "price": DEARER, "from": "2026-03-05T00:00:00Z"})
    assert (drafted["status"], drafted["description"], drafted["to"]) == ("draft", "wrong unit", None)
    # Whole billing periods are rated again, and it says so.
    assert (drafted["rated_from"], drafted["rated_to"]) == (SINCE, "2026-04-01T00:00:00Z")
    assert drafted["after"]["USD"]["model"] == {"type": "per_unit", "amount": "1"}
    (total,) = drafted["totals"]
    assert (float(total["difference"]), total["difference_count"], total["company_count"]) == (14, 2, 2)
    path = f"/reratings/{drafted['rerating_id']}"
    page = api.get(f"{path}/differences?limit=1")
    rows = page["data"] + api.get(f"{path}/differences?limit=1&cursor={page['next_cursor']}")["data"]
    assert [(row["company_id"], row["quantity_after"], float(row["difference"])) for row in rows] == [
        ("acme", "10", 9.5),
        ("globex", "5", 4.5),
    ]
    assert [row["is_invoiced"] for row in rows] == [False, False]
    applied = api.post(f"{path}/apply")
    assert (applied["status"], applied["totals"]) == ("applied", drafted["totals"])
    assert api.post(f"{path}/apply") == applied == api.get(path)
    assert api.get("/reratings")["data"] == [applied]
    (price,) = [row for row in api.get("/prices")["data"] if row["name"] == "Input Tokens"]
    wrong, right = price["versions"]
    assert (right["replaces"], right["rerating_id"]) == (wrong["version_id"], drafted["rerating_id"])
    assert (right["replaces_from"], "replaces_to" in right) == ("2026-03-05T00:00:00Z", False)
    assert price["model"] == {"type": "per_unit", "amount": "1"}


def test_a_draft_is_cancelled_and_stays_readable(api_on_both: Api) -> None:
    api = api_on_both
    _with_usage(api)
    meter = {"meter": "Input Token Meter", "metric": {"type": "count"}}
    drafted = api.post("/reratings", {"meter": meter, "from": SINCE, "to": "2026-04-01T00:00:00Z"})
    assert (drafted["before"]["metric"]["type"], drafted["after"]["metric"]["type"]) == ("sum", "count")
    path = f"/reratings/{drafted['rerating_id']}"
    assert api.ask("DELETE", path).json()["status"] == "cancelled"
    assert api.get(path)["status"] == "cancelled"
    assert api.refused(f"{path}/apply", {}, status=409) == {"status": "is 'cancelled', no draft"}
    assert len(api.get("/reratings?limit=1")["data"]) == 1


def test_a_correction_that_cannot_be_is_refused_with_its_field(api_on_both: Api) -> None:
    api = api_on_both
    _with_usage(api)
    assert "price" in api.refused("/reratings", {"from": SINCE})
    assert "from" in api.refused("/reratings", {"price": DEARER, "from": "2027-01-01T00:00:00Z"})
    for ask in (
        api.ask("GET", "/reratings/rrt_none"),
        api.ask("GET", "/reratings/rrt_none/differences"),
        api.ask("POST", "/reratings/rrt_none/apply"),
        api.ask("DELETE", "/reratings/rrt_none"),
    ):
        problem(ask, 404)
