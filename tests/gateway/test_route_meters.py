"""What a gateway counts of a call by the meters it is told of, plain ones and any others."""

import pytest

from faregate.apps.gateway.plan import make_route_plan
from faregate.domain.metering.definition import write_definition
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.filter_text import parse_filter
from faregate.domain.metering.metric import Count, Metric, Sum, Unique
from faregate.wire.gateway_protocol import (
    ConditionState,
    Dialect,
    Enforce,
    MeterState,
    OnAbort,
    RouteState,
)
from tests.builders import a_meter, an_event

TOKENS = "response.body.usage.prompt_tokens"
ROUTE = RouteState(
    route_id="rte_1",
    application_id="app_1",
    name="/ai/chat",
    upstream_url="http://127.0.0.1:9",
    upstream_headers={},
    dialect=Dialect.OPENAI_CHAT,
    enforce=Enforce.STRICT,
    on_abort=OnAbort.DRAIN,
    max_request_bytes=1,
    default_output_tokens=1,
    least_output_tokens=1,
    hold_wait_ms=1,
    connect_timeout_ms=1,
    read_timeout_ms=1,
    total_timeout_ms=1,
)


def general(text: str, metric: Metric | None = None, *, meter_id: str = "mtr_1") -> MeterState:
    meter = a_meter(parse_filter("f", text), metric=metric or Sum(path=FieldPath(TOKENS)))
    return MeterState(
        meter_id=meter_id, application_id="app_1", price_id="prc_1", definition=write_definition(meter.definition)
    )


def plain() -> MeterState:
    conditions = [
        ConditionState(path="request.route", value="/ai/chat"),
        ConditionState(path="response.status", value=200),
    ]
    return MeterState(
        meter_id="mtr_0", application_id="app_1", price_id="prc_1", conditions=conditions, sum_path=TOKENS
    )


def meters_of(*meters: MeterState) -> list[tuple[str, str | None, int]]:
    """Return, of each meter that may count the route, what it sums, its short cut, and its units of one call."""
    plan = make_route_plan(ROUTE, rules=[], meters=meters, offset_us=0, environment={})
    event = an_event(
        {
            "request": {"route": "/ai/chat", "body": {"model": "small"}},
            "response": {"status": 200, "body": {"usage": {"prompt_tokens": 7}}},
        }
    )
    return [(meter.sum_path, meter.usage_field, meter.units(event)) for meter in plan.meters]


def test_a_plain_meter_keeps_its_short_cut() -> None:
    assert meters_of(plain()) == [(TOKENS, "prompt_tokens", 7)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('request.route == "/ai/chat" and response.status < 300', [(TOKENS, "prompt_tokens", 7)]),
        ('request.route == "/ai/chat" and request.body.model == "small"', [(TOKENS, None, 7)]),
        ('request.route == "/ai/chat" and request.body.model == "large"', [(TOKENS, None, 0)]),
        ('request.route matches "^/ai/" or user_id exists', [(TOKENS, None, 7)]),
        ('request.route == "/ai/images"', []),
    ],
)
def test_any_filter_is_asked_of_the_very_event(text: str, expected: list[tuple[str, str | None, int]]) -> None:
    assert meters_of(general(text)) == expected


def test_what_is_no_plain_sum_has_no_bound_and_a_state_draws_nothing() -> None:
    assert meters_of(general("", Count())) == [("", None, 1)]
    assert meters_of(general("", Unique(path=FieldPath("user_id")))) == [("", None, 0)]
