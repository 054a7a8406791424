"""`POST /api/v1/meters/test`: a draft meter on kept events, on both databases."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from tests.api.world import NOW, Api, problem
from tests.services.world import Call

RANGE = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
DRAFT: dict[str, Any] = {
    "filter_text": 'request.route == "/ai/chat" and response.status == 200',
    "metric": {"type": "sum", "field": "response.body.usage.prompt_tokens"},
    "plan": "My AI API Plan",
    "price": "Input Tokens",
}


def _with_events(api: Api) -> None:
    api.seed()
    api.take(
        Call(request_id="a", prompt_tokens=10),
        Call(request_id="b", prompt_tokens=5, sequence=2),
        Call(request_id="b", prompt_tokens=5, sequence=2),
        Call(request_id="c", status=500, sequence=3),
        Call(request_id="d", route="/ai/images", sequence=4),
        Call(request_id="e", prompt_tokens=None, sequence=5),
        Call(request_id="f", company_id=None, sequence=6),
        Call(request_id="g", blocked_by="rul_1", sequence=7),
    )


def test_a_trial_shows_what_counts_what_not_and_why(api_on_both: Api) -> None:
    api = api_on_both
    _with_events(api)
    counts = api.row_counts()
    result = api.post("/meters/test", {"meter": DRAFT, **RANGE})
    assert result["progress"] == {
        "type": "progress",
        "read": 7,
        "total": 7,
        "matched": 4,
        "unmatched": 3,
        "unmeterable": 2,
    }
    samples = result["samples"]
    assert [sample["quantity"] for sample in samples["matched"]] == ["10", "5"]
    assert [sample["mismatches"] for sample in samples["unmatched"]] == [
        [{"field": "response.status", "actual": "500", "expected": "== 200"}],
        [{"field": "request.route", "actual": "/ai/images", "expected": '== "/ai/chat"'}],
        [{"field": "blocked_by", "actual": "rul_1", "expected": "no rule refused the call"}],
    ]
    assert [sample["reason"] for sample in samples["unmeterable"]] == [
        "response.body.usage.prompt_tokens is missing or null",
        "the caller belongs to no known company",
    ]
    assert sorted(reason["event_count"] for reason in result["reasons"]) == [1, 1]
    (total,) = result["totals"]
    assert (total["quantity"], total["event_count"], total["amount"], total["currency"]) == ("15", 2, "0.50", "USD")
    assert total["period_start"] == "2026-03-01T00:00:00Z"
    (window,) = result["windows"]
    assert (window["start"], window["quantity"], window["group"]) == ("2026-03-10T12:00:00Z", "15", [])
    assert result["windows_left_out"] == 0
    assert api.row_counts() == counts


def test_a_trial_counts_as_the_meter_then_does(api: Api) -> None:
    _with_events(api)
    result = api.post("/meters/test", {"meter": DRAFT, **RANGE})
    meter = next(one for one in api.get("/meters")["data"] if one["name"] == "Input Token Meter")
    usage = api.get(f"/usage?meter_id={meter['meter_id']}&granularity=total")["data"]
    assert [(row["company_id"], row["quantity"], row["event_count"]) for row in usage] == [
        (total["company_id"], total["quantity"], total["event_count"]) for total in result["totals"]
    ]


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ({"type": "count"}, ["2", "2"]),
        ({"type": "unique", "field": "user_id"}, ["1", "2"]),
        ({"type": "average", "field": "response.body.usage.prompt_tokens"}, ["6", "2.5"]),
        ({"type": "latest", "field": "response.body.usage.prompt_tokens"}, ["8", "3"]),
    ],
)
def test_any_metric_is_tried_by_company_and_group(api: Api, metric: dict[str, Any], expected: list[str]) -> None:
    api.seed()
    numbers = iter(range(1, 9))
    for company, user, tokens in (("a", "u", 4), ("a", "u", 8), ("b", "u", 2), ("b", "v", 3)):
        number = next(numbers)
        api.take(
            Call(
                request_id=f"r{number}",
                company_id=company,
                user_id=user,
                prompt_tokens=tokens,
                sequence=number,
                occurred_at=NOW.replace(minute=number),
            ),
        )
    draft = {"filter": {}, "metric": metric, "reporting_period": "1d"}
    result = api.post("/meters/test", {"meter": draft, **RANGE})
    assert [Decimal(total["quantity"]) for total in result["totals"]] == [Decimal(number) for number in expected]
    assert all(total["amount"] is None for total in result["totals"])
    grouped = api.post("/meters/test", {"meter": draft | {"group_by": ["user_id"]}, **RANGE})
    assert [window["group"] for window in grouped["windows"]] == [["u"], ["u"], ["v"]]


def test_only_events_in_the_range_are_tried(api: Api) -> None:
    _with_events(api)
    result = api.post("/meters/test", {"meter": DRAFT, "from": "2026-03-10T12:00:00.000001Z", "to": RANGE["to"]})
    assert result["progress"]["total"] == 0
    assert result["totals"] == []


def test_a_trial_is_streamed_line_by_line(api: Api) -> None:
    _with_events(api)
    body = msgspec.json.encode({"meter": DRAFT, **RANGE})
    answer = api.ask("POST", "/meters/test", body=body, accept="application/x-ndjson")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = [msgspec.json.decode(line) for line in answer.content.splitlines()]
    assert [line["type"] for line in lines] == ["progress", "samples", "result"]
    assert lines[-1] == api.post("/meters/test", {"meter": DRAFT, **RANGE})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"to": "2026-03-01T00:00:00Z"}, "to"),
        ({"to": "2028-03-01T00:00:00Z"}, "to"),
        ({"from": "yesterday"}, "from"),
        ({"meter": DRAFT | {"filter_text": "nonsense"}}, "meter.filter_text"),
        ({"meter": DRAFT | {"metric": {"type": "sum", "field": "tokens"}}}, "meter.metric.field"),
        ({"meter": DRAFT | {"price": "None"}}, "meter.price"),
        ({"meter": DRAFT | {"plan": "None"}}, "meter.plan"),
        ({"meter": DRAFT | {"price_id": "prc_x"}}, "meter.price_id"),
    ],
)
def test_a_draft_that_cannot_be_is_refused_by_its_field(api: Api, change: dict[str, Any], field: str) -> None:
    api.seed()
    body = msgspec.json.encode({"meter": DRAFT, **RANGE} | change)
    assert list(problem(api.ask("POST", "/meters/test", body=body), 400)) == [field]
