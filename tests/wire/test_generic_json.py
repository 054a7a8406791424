"""The generic dialect: usage by field paths of body, headers and request."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from faregate.base.errors import InvalidInput
from faregate.wire.dialects.registry import GenericJson
from faregate.wire.dialects.seam import Fault, Reading
from faregate.wire.dialects.settings import GenericSettings
from faregate.wire.dialects.tokens import Tokens
from tests.support.dialect_streams import event

EVERYWHERE = GenericSettings(
    usage={
        "input": "response.body.meta.read",
        "output": "response.body.meta.wrote[1]",
        "credits": "response.headers.X-Credits",
        "seconds": "request.body.clip.seconds",
    },
    output_limit="limit",
    text="response.body.text",
)
REQUEST = b'{"clip":{"seconds":1.50},"model":"m","limit":100}'


def whole(
    settings: GenericSettings,
    body: bytes,
    *,
    headers: tuple[tuple[str, str], ...] = (),
    input_estimate: int | None = 9,
    request: bytes = REQUEST,
) -> Reading:
    dialect = GenericJson(settings)
    return dialect.read_answer(
        body,
        request=dialect.read_request(request),
        headers=headers,
        input_estimate=input_estimate,
        most_output=100,
    )


def test_usage_is_read_from_body_headers_and_request() -> None:
    body = b'{"id":"a","model":"m","meta":{"read":3,"wrote":[0,4]}}'
    record, estimated = whole(EVERYWHERE, body, headers=(("x-credits", "12"),))
    assert not estimated
    assert record.usage == {"input": 3, "output": 4, "credits": "12", "seconds": Decimal("1.50")}
    assert record.tokens == Tokens(input=3, output=4, total=7)
    assert (record.id, record.model) == ("a", "m")


def test_what_is_not_reported_is_estimated_where_it_is_input_or_output() -> None:
    record, estimated = whole(EVERYWHERE, b'{"text":"12345678"}')
    assert estimated
    assert record.usage == {"input": 9, "output": 2, "seconds": Decimal("1.50")}
    assert whole(EVERYWHERE, b'{"text":"x"}', input_estimate=None).record.usage == {"seconds": Decimal("1.50")}


def test_without_the_place_of_a_text_the_bytes_of_the_answer_are_counted() -> None:
    settings = GenericSettings(usage={"output": "response.body.n"})
    record, estimated = whole(settings, b'{"a":"1234567890"}')
    assert (record.usage, estimated) == ({"output": 5}, True)
    dialect = GenericJson(settings)
    meter = dialect.stream(request=None, headers=(), most_output=None)
    meter.feed(b'data: {"a":1}\n\ndata: {"a":2}\n\n')
    assert meter.output_so_far == 2


def test_names_of_its_own_are_kept_and_never_estimated() -> None:
    settings = GenericSettings(usage={"pages": "response.body.pages"})
    record, estimated = whole(settings, b'{"pages":7}')
    assert (record.usage, record.tokens, estimated) == ({"pages": 7}, None, False)
    record, estimated = whole(settings, b"<html>")
    assert (record.usage, record.tokens, estimated) == (None, None, False)


def test_the_last_event_that_has_a_field_gives_it_and_null_overwrites_nothing() -> None:
    dialect = GenericJson(EVERYWHERE)
    meter = dialect.stream(request=None, headers=(("x-credits", "3"),), most_output=None)
    for payload in (
        {"meta": {"read": 3, "wrote": [0, 1]}},
        {"meta": {"read": None, "wrote": [0, 5]}},
        {"meta": {"wrote": None}},
    ):
        meter.feed(event(payload, named=False))
    assert not meter.finished
    complete, cut = (meter.read(input_estimate=9, complete=complete) for complete in (True, False))
    assert complete.record.usage == cut.record.usage == {"input": 3, "output": 5, "credits": "3"}
    assert (complete.estimated, cut.estimated) == (False, True)


def test_an_event_over_the_limit_passes_unread() -> None:
    meter = GenericJson(EVERYWHERE).stream(request=None, headers=(), most_output=None)
    large = b"data: " + b"x" * (5 << 20) + b"\n\n"
    passed = meter.feed(large) + meter.feed(b'data: {"text":"abc"}\n\n')
    assert len(passed) == len(large) + len(b'data: {"text":"abc"}\n\n')
    assert meter.output_so_far == 1


def test_a_limit_is_set_or_lowered_and_never_raised() -> None:
    dialect = GenericJson(EVERYWHERE)
    request = dialect.read_request(REQUEST)
    assert (request.choices, request.most_output_per_choice, request.least_output_per_choice) == (1, 100, 1)
    request.require_bounded()
    assert json.loads(request.rewrite(most_output_per_choice=7))["limit"] == 7
    assert json.loads(request.rewrite(most_output_per_choice=700))["limit"] == 100
    assert request.rewrite(most_output_per_choice=None) is REQUEST
    assert b'"limit":7' in dialect.read_request(b'{"a":1.10}').rewrite(most_output_per_choice=7)
    assert (request.input_bound(), request.input_estimate()) == (len(REQUEST), -(-len(REQUEST) // 4))
    assert request.summary().model == "m"
    assert dialect.read_request(b'{"stream":true}').streams


def test_without_a_field_that_limits_the_output_no_call_is_bounded() -> None:
    dialect = GenericJson(GenericSettings(usage={"output": "response.body.n"}))
    request = dialect.read_request(REQUEST)
    assert dialect.bounds == {}
    assert request.rewrite(most_output_per_choice=5) is REQUEST
    with pytest.raises(InvalidInput, match="limit on its output"):
        request.require_bounded()


def test_what_a_request_bounds_is_input_and_output() -> None:
    assert GenericJson(EVERYWHERE).bounds == {
        "response.body.usage.input": (1, 0),
        "response.body.tokens.input": (1, 0),
        "response.body.usage.output": (0, 1),
        "response.body.tokens.output": (0, 1),
    }


@pytest.mark.parametrize(
    ("usage", "text", "named"),
    [
        ({}, None, "usage"),
        ({"a": "nowhere.x"}, None, "usage.a"),
        ({"a": "request.headers.x"}, None, "usage.a"),
        ({"a": "response.body.x[*].y"}, None, "usage.a"),
        ({"a": "response.body.x"}, "response.status", "text"),
    ],
)
def test_a_path_that_cannot_be_read_is_refused_by_its_name(usage: dict[str, str], text: str | None, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        GenericJson(GenericSettings(usage=usage, text=text))
    assert refused.value.faults[0].field == named


@pytest.mark.parametrize(
    ("body", "named"), [(b"nope", "body"), (b'{"limit":"5"}', "limit"), (b'{"limit":true}', "limit"), (b"[]", "body")]
)
def test_a_request_that_cannot_be_read_is_invalid_input(body: bytes, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        GenericJson(EVERYWHERE).read_request(body)
    assert refused.value.faults[0].field == named


def test_every_path_is_metered_as_it_came() -> None:
    dialect = GenericJson(EVERYWHERE)
    assert dialect.upstream_path("/clips/new") == "/clips/new"
    fault = Fault(status=402, type="insufficient_quota", code="credit_balance_exhausted", message="m")
    assert json.loads(dialect.error_body(fault))["error"]["code"] == "credit_balance_exhausted"
