"""Counting, normalising, the registry, and what chat's way through the seam must not change."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.wire.dialects.openai_chat_usage import read_chat_answer
from faregate.wire.dialects.registry import ANTHROPIC_MESSAGES, NAMES, OPENAI_CHAT, OPENAI_RESPONSES, dialect_named
from faregate.wire.dialects.seam import Fault
from faregate.wire.dialects.settings import GenericSettings
from faregate.wire.dialects.tokens import MOST_TOKENS, Tokens, merge_usage, whole
from tests.support.dialect_streams import DIALECTS, request_of

usages = st.dictionaries(
    st.sampled_from("abc"),
    st.none() | st.integers() | st.dictionaries(st.sampled_from("xy"), st.none() | st.integers(), max_size=2),
    max_size=3,
)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (7, 7),
        (MOST_TOKENS, MOST_TOKENS),
        (MOST_TOKENS + 1, None),
        (-1, None),
        (True, None),
        (Decimal("7.0"), 7),
        (Decimal("7.5"), None),
        (Decimal("1E+999999"), None),
        ("12", 12),
        ("-1", None),
        ("٣", None),
        ("9" * 19, None),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_a_count_is_a_whole_number_or_its_numeral(value: object, count: int | None) -> None:
    assert whole(value) == count


@given(usages, usages)
def test_the_later_value_of_a_field_wins_and_null_overwrites_nothing(
    known: dict[str, object], later: dict[str, object]
) -> None:
    merged = merge_usage(merge_usage({}, known), later)
    for name, value in later.items():
        if isinstance(value, int):
            assert merged[name] == value
        elif value is None:
            assert merged.get(name) == merge_usage({}, known).get(name)
    assert merge_usage(merged, later) == merged
    assert None not in merged.values()


def test_details_that_come_apart_are_kept_together() -> None:
    assert merge_usage({"d": {"a": 1, "b": 2}}, {"d": {"b": 3, "c": None}}) == {"d": {"a": 1, "b": 3}}


def test_chat_tokens_are_told_apart() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": 2},
    }
    body = json.dumps({"id": "c", "model": "m", "usage": usage}).encode()
    assert read_chat_answer(body, input_estimate=1, most_output=None).record.tokens == Tokens(
        input=30, cached_read=60, cache_write=10, output=20, reasoning=8, audio_input=5, audio_output=2, total=120
    )
    del usage["prompt_tokens_details"], usage["completion_tokens_details"]
    body = json.dumps({"usage": usage}).encode()
    plain = read_chat_answer(body, input_estimate=1, most_output=None).record.tokens
    assert plain == Tokens(input=100, output=20, total=120)


def test_more_cached_than_read_makes_nothing_negative() -> None:
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 1}
    body = json.dumps({"usage": usage}).encode()
    reading = OPENAI_RESPONSES.read_answer(body, request=None, headers=(), input_estimate=1, most_output=None)
    assert reading.record.tokens == Tokens(cached_read=60, output=1, total=61)


@given(
    st.sampled_from([b"", b"<html>", b'{"usage":null}', b'{"usage":{}}', b'{"usage":{"prompt_tokens":null}}'])
    | st.builds(
        lambda usage, text: json.dumps({
            "id": "c", "model": "m", "usage": usage, "choices": [{"message": {"content": text}}],
        }).encode(),
        st.dictionaries(
            st.sampled_from(["prompt_tokens", "completion_tokens", "total_tokens", "cost"]), st.integers(0, 99)
        ),
        st.text(max_size=20),
    ),
    st.none() | st.integers(1, 99),
)  # fmt: skip
def test_a_whole_chat_answer_keeps_what_is_reported_and_estimates_the_rest(
    body: bytes, input_estimate: int | None
) -> None:
    try:
        reported = json.loads(body)["usage"] or {}
    except (json.JSONDecodeError, KeyError):
        reported = {}
    record, estimated = OPENAI_CHAT.read_answer(
        body, request=None, headers=(), input_estimate=input_estimate, most_output=None
    )
    usage = record.usage or {}
    known = {name: value for name, value in reported.items() if value is not None and name != "total_tokens"}
    assert known.items() <= usage.items()
    names = {"prompt_tokens", "completion_tokens"}
    assert estimated == (input_estimate is not None and not names <= set(known))
    if names <= set(usage):
        assert usage["total_tokens"] == whole(usage["prompt_tokens"]) + whole(usage["completion_tokens"])  # type: ignore[operator]


def test_an_estimate_of_a_whole_answer_is_no_more_than_was_allowed() -> None:
    body = json.dumps({"choices": [{"message": {"content": "x" * 400}}]}).encode()
    record, estimated = read_chat_answer(body, input_estimate=5, most_output=30)
    assert (record.usage, estimated) == (
        {"prompt_tokens": 5, "completion_tokens": 30, "total_tokens": 35},
        True,
    )


def test_chat_reads_a_request_through_the_seam() -> None:
    body = request_of(OPENAI_CHAT, n=2, max_tokens=7)
    request = OPENAI_CHAT.read_request(body)
    request.require_bounded()
    assert (request.streams, request.choices, request.most_output_per_choice) == (True, 2, 7)
    assert request.least_output_per_choice == 1
    assert (request.input_bound(), request.input_estimate()) == (len(body) + 32, 5)
    sent = json.loads(request.rewrite(most_output_per_choice=3))
    assert (sent["max_tokens"], sent["stream_options"]) == (3, {"include_usage": True})
    assert OPENAI_CHAT.upstream_path("") == "/chat/completions"


def test_a_chat_stream_whose_event_was_passed_on_in_part_is_ended_before_the_error() -> None:
    meter = OPENAI_CHAT.stream(request=None, headers=(), most_output=None)
    assert meter.feed(b"data: " + b"x" * (5 << 20))
    closing = meter.close_with(Fault(status=502, type="server_error", code="c", message="m"))
    assert closing.startswith(b'\n\ndata: {"error"')


def test_every_dialect_is_found_by_its_name() -> None:
    for dialect in DIALECTS[:3]:
        assert dialect_named(dialect.name) is dialect
    assert NAMES == ("openai_chat", "openai_responses", "anthropic_messages", "generic_json")
    generic = dialect_named("generic_json", GenericSettings(usage={"a": "response.body.a"}))
    assert generic.name == "generic_json"
    with pytest.raises(InvalidInput, match="must be one of"):
        dialect_named("smoke_signals")
    with pytest.raises(InvalidInput, match="generic_json"):
        dialect_named("generic_json")


def test_each_provider_bounds_its_own_fields_and_the_normalised_ones() -> None:
    assert OPENAI_CHAT.bounds["response.body.usage.total_tokens"] == (1, 1)
    assert OPENAI_RESPONSES.bounds["response.body.usage.output_tokens"] == (0, 1)
    assert ANTHROPIC_MESSAGES.bounds["response.body.usage.cache_read_input_tokens"] == (1, 0)
    for dialect in DIALECTS[:3]:
        assert {f"response.body.tokens.{name}" for name in Tokens.__struct_fields__} <= set(dialect.bounds)


def test_errors_have_the_dialects_form() -> None:
    fault = Fault(status=402, type="insufficient_quota", code="credit_balance_exhausted", message="m")
    for dialect in (OPENAI_CHAT, OPENAI_RESPONSES):
        assert json.loads(dialect.error_body(fault)) == {
            "error": {"message": "m", "type": "insufficient_quota", "param": None, "code": "credit_balance_exhausted"}
        }
    error = json.loads(ANTHROPIC_MESSAGES.error_body(fault))["error"]
    assert (error["type"], error["code"]) == ("billing_error", "credit_balance_exhausted")


def test_a_provider_reads_whole_answers_and_paths_through_the_seam() -> None:
    body = json.dumps({"usage": {"input_tokens": 1, "output_tokens": 2}}).encode()
    for dialect in (OPENAI_RESPONSES, ANTHROPIC_MESSAGES):
        reading = dialect.read_answer(body, request=None, headers=(), input_estimate=None, most_output=None)
        assert reading.record.tokens == Tokens(input=1, output=2, total=3)
        assert dialect.upstream_path("/elsewhere") is None


def test_a_body_that_nests_too_deep_is_unreadable_and_no_fault() -> None:
    deep = b'{"messages":' + b"[" * 100_000
    for dialect in DIALECTS:
        with pytest.raises(InvalidInput):
            dialect.read_request(deep)
        reading = dialect.read_answer(deep, request=None, headers=(), input_estimate=None, most_output=None)
        assert reading.record.usage is None
