"""`GET /api/v1/usage` for any metric: by day, in a time zone, by group; and backfills."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from faregate.services.backfill import backfill_next
from tests.api.world import NOW, Api
from tests.services.world import Call

FROM = datetime(2026, 3, 6, tzinfo=UTC)
MARCH = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z"


def _meter(api: Api, metric: dict[str, Any], **more: object) -> str:
    price_id = api.get("/prices")["data"][0]["price_id"]
    body = {"name": "Tried", "price_id": price_id, "filter_text": "", "metric": metric, **more}
    made: str = api.post("/meters", body)["meter_id"]
    return made


def _calls(api: Api) -> None:
    """Calls of two users at 22:30 UTC of four days, each day one more of them."""
    number = 0
    for day in range(4):
        for index in range(day + 1):
            number += 1
            at = FROM + timedelta(days=day, hours=22, minutes=30)
            user = ("ann", "bob")[index % 2]
            api.take(Call(request_id=f"r{number}", occurred_at=at, user_id=user, sequence=number, prompt_tokens=number))


def _rows(api: Api, meter_id: str, query: str) -> list[tuple[str, str, list[str]]]:
    found = api.get(f"/usage?meter_id={meter_id}&{query}")["data"]
    return [(row["start"], row["quantity"], row["group"]) for row in found]


@pytest.mark.parametrize("aligned", [True, False])
def test_a_unique_count_by_day_is_that_of_the_day_and_over_all_that_of_all(api_on_both: Api, *, aligned: bool) -> None:
    api = api_on_both
    api.seed(routes=[])
    meter_id = _meter(api, {"type": "unique", "field": "user_id"}, reporting_period="1m")
    _calls(api)
    # Days that are cut come from windows, whole ones from what is kept of them: both say the same.
    span = MARCH if aligned else MARCH.replace("T00:00:00Z", "T00:00:01Z")
    days = _rows(api, meter_id, f"granularity=day&{span}")
    assert [quantity for _, quantity, _ in days] == ["1", "2", "2", "2"]
    assert [start for start, _, _ in days] == [f"2026-03-0{day}T00:00:00Z" for day in (6, 7, 8, 9)]
    assert [quantity for _, quantity, _ in _rows(api, meter_id, f"granularity=total&{span}")] == ["2"]


def test_days_of_a_time_zone_begin_and_end_there(api: Api) -> None:
    api.seed(routes=[])
    meter_id = _meter(api, {"type": "count"})
    _calls(api)
    days = _rows(api, meter_id, "granularity=day&time_zone=America/Los_Angeles")
    # On March 8 the clocks there go forward.
    assert days == [
        ("2026-03-06T08:00:00Z", "1", []),
        ("2026-03-07T08:00:00Z", "2", []),
        ("2026-03-08T08:00:00Z", "3", []),
        ("2026-03-09T07:00:00Z", "4", []),
    ]
    assert api.ask("GET", "/usage?time_zone=Mars/Olympus").status_code == 400


@pytest.mark.parametrize("query", ["granularity=day", "granularity=hour", "granularity=window", "granularity=total"])
def test_groups_are_told_apart_and_read_in_parts(api_on_both: Api, query: str) -> None:
    api = api_on_both
    api.seed(routes=[])
    meter_id = _meter(api, {"type": "sum", "field": "response.body.usage.prompt_tokens"}, group_by=["user_id"])
    _calls(api)
    whole = _rows(api, meter_id, query)
    assert {tuple(group) for _, _, group in whole} == {("ann",), ("bob",)}
    assert sum(int(quantity) for _, quantity, _ in whole) == 55
    parts: list[tuple[str, str, list[str]]] = []
    cursor = ""
    while True:
        page = api.get(f"/usage?meter_id={meter_id}&{query}&limit=1{cursor}")
        parts += [(row["start"], row["quantity"], row["group"]) for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert parts == whole


def test_a_new_meter_is_filled_and_shows_how_far(api: Api) -> None:
    api.seed(routes=[])
    _calls(api)
    meter_id = _meter(api, {"type": "count"})
    assert _rows(api, meter_id, "granularity=total") == []
    body = {"from": "2026-03-01T00:00:00Z", "to": NOW.isoformat()}
    started = api.post(f"/meters/{meter_id}/backfills", body)
    assert (started["total"], started["read"], started["ended_at"]) == (10, 0, None)
    more = True
    while more:
        with api.database.begin() as transaction:
            more = backfill_next(transaction, api.clock)
    ended = api.get(f"/backfills/{started['backfill_id']}")
    assert (ended["read"], ended["counted"]) == (10, 10)
    assert ended["ended_at"] is not None
    assert [quantity for _, quantity, _ in _rows(api, meter_id, "granularity=total")] == ["10"]
    assert list(api.refused(f"/meters/{meter_id}/backfills", body | {"to": body["from"]})) == ["to"]
    assert api.ask("GET", "/backfills/bkf_none").status_code == 404
