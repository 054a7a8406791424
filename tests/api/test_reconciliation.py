"""Reconciliation over the API and the command line's way of telling it."""

from tests.api.world import Api, problem
from tests.services.world import Call


def test_usage_is_compared_on_demand_and_the_last_result_can_be_read_again(api: Api) -> None:
    problem(api.ask("GET", "/reconciliation"), 404)
    api.subscribe(pays="postpaid")
    api.take(Call(request_id="req_1", sequence=1, prompt_tokens=10, completion_tokens=20))
    api.post("/clock/advance", {"by_seconds": 3 * 3_600})
    found = api.post("/reconciliation", {})
    assert (found["windows"], found["reports"], found["differences"]) == (2, 2, [])
    assert api.get("/reconciliation") == found
    none = api.post("/reconciliation", {"from_at": "2026-03-09T00:00:00Z", "to_at": "2026-03-10T10:00:00Z"})
    assert (none["windows"], none["to_at"]) == (0, "2026-03-10T10:00:00Z")
    assert "from_at" in api.refused("/reconciliation", {"from_at": "2026-04-01T00:00:00Z"})
