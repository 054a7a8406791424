"""The responses dialect: bounds, rewriting, whole answers, ends of streams."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEASE_UNITS
from faregate.wire.dialects.openai_responses import read_responses_request, responses_path
from faregate.wire.dialects.openai_responses_answer import ResponsesStream, read_responses_answer
from faregate.wire.dialects.tokens import Tokens
from tests.support.dialect_streams import event, responses_stream

WHOLE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-x",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hmm"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "abcdefgh", "annotations": []}]},
        {"type": "function_call", "name": "f", "arguments": '{"a":1}'},
    ],
    "usage": {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "output_tokens": 12,
        "output_tokens_details": {"reasoning_tokens": 8},
        "total_tokens": 999,
    },
}


def encoded(**fields: object) -> bytes:
    return json.dumps({"model": "gpt-x", "input": "hi"} | fields).encode()


def test_a_whole_answer_is_read_and_its_total_computed_again() -> None:
    reading = read_responses_answer(json.dumps(WHOLE).encode(), input_estimate=5, most_output=None)
    assert not reading.estimated
    assert (reading.record.id, reading.record.model) == ("resp_1", "gpt-x")
    assert reading.record.usage is not None
    assert reading.record.usage["total_tokens"] == 112
    assert reading.record.tokens == Tokens(
        input=10, cached_read=60, cache_write=30, output=12, reasoning=8, audio_input=0, audio_output=0, total=112
    )


def test_a_whole_answer_without_usage_is_estimated_by_its_text() -> None:
    body = json.dumps(WHOLE | {"usage": None}).encode()
    reading = read_responses_answer(body, input_estimate=5, most_output=None)
    assert reading.estimated
    assert reading.record.usage == {"input_tokens": 5, "output_tokens": 5, "total_tokens": 10}
    capped = read_responses_answer(body, input_estimate=5, most_output=2).record.tokens
    assert capped is not None
    assert capped.output == 2
    assert read_responses_answer(body, input_estimate=None, most_output=None).record.usage is None


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"usage":[1],"id":5}', b'{"output":5}', b"[" * 100_000])
def test_an_answer_that_cannot_be_read_leaves_everything_unknown(body: bytes) -> None:
    record, estimated = read_responses_answer(body, input_estimate=None, most_output=None)
    assert (record.id, record.usage, record.tokens, estimated) == (None, None, None, False)


@pytest.mark.parametrize("last", ["response.completed", "response.incomplete", "response.failed"])
def test_each_of_the_last_events_bears_the_bill(last: str) -> None:
    sample = responses_stream(["a"], last=last)
    meter = ResponsesStream(most_output=None)
    meter.feed(sample.bytes)
    assert meter.finished
    assert meter.output_so_far == sample.wrote


def test_a_stream_that_is_nothing_but_an_error_used_nothing() -> None:
    error = event({"type": "error", "code": "server_error", "message": "m", "sequence_number": 0}, named=True)
    meter = ResponsesStream(most_output=None)
    assert meter.feed(error) == error
    reading = meter.read(input_estimate=5, complete=False)
    assert (reading.record.usage, reading.estimated) == (None, False)


def test_a_failure_that_comes_first_used_nothing_unless_it_reports_usage() -> None:
    for usage, estimated in ((None, None), ({"input_tokens": 3, "output_tokens": 0}, 3)):
        failed = {"type": "response.failed", "response": {"id": "resp_1", "status": "failed", "usage": usage}}
        meter = ResponsesStream(most_output=None)
        meter.feed(event(failed, named=True))
        assert meter.finished
        reading = meter.read(input_estimate=5, complete=True)
        assert not reading.estimated
        assert (reading.record.usage or {}).get("input_tokens") == estimated


def test_an_error_after_the_beginning_is_billed_what_was_seen() -> None:
    sample = responses_stream(["abcde"])
    error = event({"type": "error", "code": "server_error", "message": "m", "sequence_number": 0}, named=True)
    meter = ResponsesStream(most_output=None)
    meter.feed(b"".join(sample.events[:5]) + error)
    reading = meter.read(input_estimate=5, complete=False)
    assert reading.estimated
    assert reading.record.usage == {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


def test_audio_is_not_counted_by_the_length_of_its_encoding() -> None:
    meter = ResponsesStream(most_output=None)
    meter.feed(event({"type": "response.audio.delta", "delta": "A" * 4_000}, named=True))
    assert (meter.output_so_far, meter.first_token_seen) == (0, False)


@given(
    st.lists(st.text(max_size=20), max_size=4),
    st.dictionaries(st.text(min_size=1, max_size=5).map(lambda name: "x" + name), st.integers() | st.text(max_size=5)),
    st.none() | st.integers(1, 10_000),
    st.integers(1, 10_000),
)
def test_rewriting_keeps_every_field_and_never_raises_the_limit(
    contents: list[str], others: dict[str, object], own: int | None, most: int
) -> None:
    fields: dict[str, object] = {"input": [{"role": "user", "content": text} for text in contents], **others}
    if own is not None:
        fields["max_output_tokens"] = own
    body = encoded(**fields)
    request = read_responses_request(body)
    request.require_bounded()
    sent = json.loads(request.rewrite(most_output_per_choice=most))
    assert sent == json.loads(body) | {"max_output_tokens": most if own is None else min(own, most)}
    assert request.rewrite(most_output_per_choice=None) is body
    assert request.input_bound() > sum(len(text.encode()) + 16 for text in contents)
    assert request.input_estimate() == max(1, -(-sum(map(len, contents)) // 4))
    assert (request.choices, request.most_output_per_choice) == (1, own)


def test_everything_the_model_reads_counts_for_the_estimate() -> None:
    body = encoded(
        instructions="1234",
        tools=[{"type": "function"}],
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "12345678"}]},
            {"type": "function_call", "arguments": "1234"},
            {"type": "function_call_output", "output": "1234"},
            {"type": "function_call_output", "output": [{"type": "input_text", "text": "1234"}]},
            {"type": "custom_tool_call", "input": "1234"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "1234"}], "content": None},
        ],
    )
    request = read_responses_request(body)
    request.require_bounded()
    assert request.input_estimate() == 8 + -(-len('[{"type": "function"}]') // 4)
    assert request.summary().model == "gpt-x"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"previous_response_id": "resp_0"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "function"}, {"type": "web_search"}]}, "tools[1]"),
        ({"tools": 5}, "tools"),
        ({"tools": [{"type": {}}]}, "tools"),
        ({"input": [{"type": []}]}, "input"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_0"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "output": [{"type": "input_file"}]}]}, "input[0].output[0]"),
        ({"input": {"role": "user"}}, "input"),
    ],
)
def test_what_the_request_does_not_bound_is_refused_by_its_name(fields: dict[str, object], named: str) -> None:
    request = read_responses_request(encoded(**fields))
    with pytest.raises(InvalidInput) as refused:
        request.require_bounded()
    assert refused.value.faults[0].field == named
    assert request.input_estimate() >= 1


def test_null_fields_count_as_absent() -> None:
    body = encoded(previous_response_id=None, conversation=None, tools=None, background=None, instructions=None)
    request = read_responses_request(body)
    request.require_bounded()
    assert request.streams is False


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"nope", "body"),
        (b"[]", "body"),
        (b"[" * 100_000, "body"),
        (encoded(stream=5), "stream"),
        (encoded(max_output_tokens=0), "max_output_tokens"),
        (encoded(max_output_tokens=MAX_LEASE_UNITS + 1), "max_output_tokens"),
        (encoded(max_output_tokens=1.5), "max_output_tokens"),
    ],
)
def test_a_request_that_cannot_be_read_is_invalid_input(body: bytes, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_responses_request(body)
    assert refused.value.faults[0].field == named


def test_the_largest_limit_is_taken() -> None:
    assert read_responses_request(encoded(max_output_tokens=MAX_LEASE_UNITS)).most_output_per_choice == MAX_LEASE_UNITS


@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ("", "/responses"),
        ("/", "/responses"),
        ("/responses", "/responses"),
        ("/responses/compact", None),
        ("/chat/completions", None),
    ],
)
def test_what_follows_the_route_names_the_upstreams_path(rest: str, path: str | None) -> None:
    assert responses_path(rest) == path
