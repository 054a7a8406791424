"""The messages dialect: bounds, rewriting, whole answers, cumulative counts, errors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEASE_UNITS
from faregate.wire.dialects.anthropic_messages import TOKENS_FOR_TOOLS, messages_path, read_messages_request
from faregate.wire.dialects.anthropic_messages_answer import MessagesStream, messages_error, read_messages_answer
from faregate.wire.dialects.seam import Fault, Reading
from faregate.wire.dialects.tokens import Tokens
from tests.support.dialect_streams import event, messages_stream

WHOLE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "hmm", "signature": "c2ln"},
        {"type": "text", "text": "abcdefgh"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 60,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 12,
        "server_tool_use": {"web_search_requests": 1},
        "service_tier": "standard",
    },
}


def encoded(**fields: object) -> bytes:
    common: dict[str, object] = {"model": "claude-x", "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(common | fields).encode()


def typed(kind: str, **members: object) -> bytes:
    return event({"type": kind, **members}, named=True)


def start(**usage: object) -> bytes:
    return typed("message_start", message={"id": "msg_1", "model": "claude-x", "usage": usage})


def delta(reason: str | None = None, **usage: object) -> bytes:
    return typed("message_delta", delta={"stop_reason": reason}, usage=usage)


def text(text: str) -> bytes:
    return typed("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def read(*events: bytes) -> Reading:
    meter = MessagesStream(most_output=None)
    meter.feed(b"".join(events))
    reading = meter.read(input_estimate=5, complete=meter.finished)
    assert reading.record.tokens is None or meter.output_so_far == reading.record.tokens.output
    return reading


def test_a_whole_answer_is_read_and_what_was_cached_is_beside_the_input() -> None:
    reading = read_messages_answer(json.dumps(WHOLE).encode(), input_estimate=5, most_output=None)
    assert not reading.estimated
    assert reading.record.usage == WHOLE["usage"]
    assert reading.record.tokens == Tokens(input=10, cached_read=60, cache_write=30, output=12, total=112)


def test_a_whole_answer_without_usage_is_estimated_by_its_text() -> None:
    body = json.dumps(WHOLE | {"usage": None}).encode()
    reading = read_messages_answer(body, input_estimate=5, most_output=None)
    assert reading.estimated
    assert reading.record.usage == {"input_tokens": 5, "output_tokens": 5}


@pytest.mark.parametrize("body", [b"<html>", b'{"usage":5,"id":5,"content":5}', b"[" * 100_000])
def test_an_answer_that_cannot_be_read_leaves_everything_unknown(body: bytes) -> None:
    record, estimated = read_messages_answer(body, input_estimate=None, most_output=None)
    assert (record.id, record.usage, record.tokens, estimated) == (None, None, None, False)


def test_the_last_value_of_a_field_wins_and_none_are_added_up() -> None:
    reading = read(
        start(input_tokens=25, output_tokens=2),
        delta(output_tokens=10),
        delta("end_turn", output_tokens=15, input_tokens=None, cache_read_input_tokens=40),
        typed("message_stop"),
    )
    assert reading.record.tokens == Tokens(input=25, cached_read=40, output=15, total=80)
    assert not reading.estimated


def test_the_first_count_of_the_output_is_not_the_last_word() -> None:
    reading = read(start(input_tokens=25, output_tokens=1), text("abcdefgh"))
    assert (reading.record.tokens, reading.estimated) == (Tokens(input=25, output=2, total=27), True)
    reading = read(start(input_tokens=25, output_tokens=1), text("abcdefgh"), typed("message_stop"))
    assert (reading.record.tokens, reading.estimated) == (Tokens(input=25, output=2, total=27), True)


def test_counts_that_come_without_a_reason_to_stop_are_final_with_the_end() -> None:
    events = [start(input_tokens=25, output_tokens=1), text("a" * 400), delta(output_tokens=50)]
    assert read(*events) == Reading(read(*events).record, estimated=True)
    cut = read(*events).record.tokens
    assert cut is not None
    assert cut.output == 100
    whole = read(*events, typed("message_stop"))
    assert (whole.record.tokens, whole.estimated) == (Tokens(input=25, output=50, total=75), False)


def test_thinking_and_the_input_of_tools_count_for_the_estimate() -> None:
    reading = read(
        start(input_tokens=25, output_tokens=1),
        typed("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
        typed("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "12345678"}),
        typed("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "c2ln" * 100}),
        typed("content_block_start", index=1, content_block={"type": "tool_use", "name": "f", "input": {}}),
        typed("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"a":12}'}),
        typed("content_block_start", index=2, content_block={"type": "text", "text": "1234"}),
    )
    assert reading.record.tokens is not None
    assert reading.record.tokens.output == 5


def test_a_stream_that_is_nothing_but_an_error_used_nothing() -> None:
    error = typed("error", error={"type": "overloaded_error", "message": "Overloaded"})
    assert read(error) == Reading(read(error).record, estimated=False)
    assert read(error).record.usage is None


def test_an_error_ends_a_stream_which_is_billed_what_was_seen() -> None:
    error = typed("error", error={"type": "overloaded_error", "message": "Overloaded"})
    meter = MessagesStream(most_output=None)
    assert meter.feed(start(input_tokens=25) + text("abcde") + error) == start(input_tokens=25) + text("abcde")
    assert meter.finished
    assert meter.end() == error
    assert meter.read(input_estimate=5, complete=True).record.tokens == Tokens(input=25, output=2, total=27)


@given(
    st.lists(st.text(max_size=20), max_size=4),
    st.dictionaries(st.text(min_size=1, max_size=5).map(lambda name: "x" + name), st.integers() | st.text(max_size=5)),
    st.none() | st.integers(1, 10_000),
    st.integers(1, 10_000),
)
def test_rewriting_keeps_every_field_and_never_raises_the_limit(
    contents: list[str], others: dict[str, object], own: int | None, most: int
) -> None:
    fields: dict[str, object] = {"messages": [{"role": "user", "content": text} for text in contents], **others}
    if own is not None:
        fields["max_tokens"] = own
    body = encoded(**fields)
    request = read_messages_request(body)
    request.require_bounded()
    sent = json.loads(request.rewrite(most_output_per_choice=most))
    assert sent == json.loads(body) | {"max_tokens": most if own is None else min(own, most)}
    assert request.rewrite(most_output_per_choice=None) is body
    assert request.input_bound() > sum(len(text.encode()) + 16 for text in contents)
    assert request.input_estimate() == max(1, -(-sum(map(len, contents)) // 4))
    assert (request.choices, request.most_output_per_choice, request.least_output_per_choice) == (1, own, 1)
    assert request.streams is False


@pytest.mark.parametrize(
    ("own", "budget", "most", "sent"),
    [
        (8_000, 4_000, 6_000, (6_000, 4_000)),
        (8_000, 4_000, 4_000, (4_000, 3_999)),
        (8_000, 4_000, 1_025, (1_025, 1_024)),
        (8_000, 4_000, 9_000, (8_000, 4_000)),
        (2_000, 4_000, 9_000, (2_000, 4_000)),
        (None, 4_000, 3_000, (3_000, 2_999)),
    ],
)
def test_a_thinking_budget_stays_below_a_limit_that_was_lowered(
    own: int | None, budget: int, most: int, sent: tuple[int, int]
) -> None:
    thinking = {"type": "enabled", "budget_tokens": budget, "display": "omitted"}
    body = encoded(thinking=thinking) if own is None else encoded(thinking=thinking, max_tokens=own)
    request = read_messages_request(body)
    assert request.least_output_per_choice == 1_025
    rewritten = json.loads(request.rewrite(most_output_per_choice=most))
    assert (rewritten["max_tokens"], rewritten["thinking"]) == (sent[0], thinking | {"budget_tokens": sent[1]})


def test_tools_bring_instructions_that_the_request_does_not_show() -> None:
    bare, armed = encoded(), encoded(tools=[{"name": "f", "input_schema": {}}, {"type": "custom", "name": "g"}])
    request = read_messages_request(armed)
    request.require_bounded()
    more = request.input_bound() - read_messages_request(bare).input_bound()
    assert more == len(armed) - len(bare) + TOKENS_FOR_TOOLS


def test_everything_the_model_reads_counts_for_the_estimate() -> None:
    body = encoded(
        system=[{"type": "text", "text": "1234"}],
        tools=[{"name": "f"}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "12345678"}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "1234", "signature": "c2ln"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "12"}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "content": [{"type": "text", "text": "1234"}]}],
            },
            {"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "1234"}}]},
            {"role": "user", "content": [{"type": "document", "source": {"type": "content", "content": "1234"}}]},
        ],
    )
    request = read_messages_request(body)
    request.require_bounded()
    assert request.input_estimate() == 8 + -(-len('[{"name": "f"}]') // 4)
    assert read_messages_request(encoded(system="1234")).input_estimate() == 2
    assert request.summary().model == "claude-x"


IMAGE = {"type": "image", "source": {"type": "url", "url": "x"}}
PDF = {"type": "document", "source": {"type": "base64", "data": "JVBERi0="}}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
        ({"context_management": {"edits": []}}, "context_management"),
        ({"tools": [{"name": "f"}, {"type": "web_search_20250305", "name": "web_search"}]}, "tools[1]"),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [PDF]}]}, "messages[0].content[0].source"),
        ({"messages": [{"role": "user", "content": [{"type": "document"}]}]}, "messages[0].content[0].source"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [IMAGE]}]}]},
            "messages[0].content[0].content[0]",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "document", "source": {"type": "content", "content": [IMAGE]}}],
                    }
                ]
            },
            "messages[0].content[0].source.content[0]",
        ),
        ({"system": [IMAGE]}, "system[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "web_search_tool_result", "content": {}}]}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_what_the_request_does_not_bound_is_refused_by_its_name(fields: dict[str, object], named: str) -> None:
    request = read_messages_request(encoded(**fields))
    with pytest.raises(InvalidInput) as refused:
        request.require_bounded()
    assert refused.value.faults[0].field == named
    assert request.input_estimate() >= 1


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"nope", "body"),
        (b"{}", "body"),
        (encoded(messages=5), "messages"),
        (encoded(messages=[{"content": [{"type": {}}]}]), "messages[0].content[0].type"),
        (encoded(max_tokens=0), "max_tokens"),
        (encoded(max_tokens=MAX_LEASE_UNITS + 1), "max_tokens"),
    ],
)
def test_a_request_that_cannot_be_read_is_invalid_input(body: bytes, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_messages_request(body)
    assert refused.value.faults[0].field == named


@pytest.mark.parametrize(
    ("status", "kind", "error_type"),
    [
        (402, "insufficient_quota", "billing_error"),
        (429, "insufficient_quota", "billing_error"),
        (429, "requests", "rate_limit_error"),
        (401, "invalid_request_error", "authentication_error"),
        (403, "invalid_request_error", "permission_error"),
        (404, "invalid_request_error", "not_found_error"),
        (422, "invalid_request_error", "invalid_request_error"),
        (413, "invalid_request_error", "request_too_large"),
        (502, "server_error", "api_error"),
        (504, "server_error", "timeout_error"),
    ],
)
def test_an_error_has_anthropics_form_and_its_own_code(status: int, kind: str, error_type: str) -> None:
    body = messages_error(Fault(status=status, type=kind, code="some_code", message="Why.", param="messages"))
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": error_type, "message": "Why.", "code": "some_code", "param": "messages"},
    }


@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ("", "/v1/messages"),
        ("/", "/v1/messages"),
        ("/messages", "/v1/messages"),
        ("/v1/messages", "/v1/messages"),
        ("/v1/messages/count_tokens", None),
        ("/v1/messages/batches", None),
    ],
)
def test_what_follows_the_route_names_the_upstreams_path(rest: str, path: str | None) -> None:
    assert messages_path(rest) == path


def test_the_sample_stream_is_what_its_maker_says() -> None:
    sample = messages_stream(["a"])
    assert read(*sample.events).record.tokens == Tokens(input=31, cached_read=11, cache_write=7, output=17, total=66)
