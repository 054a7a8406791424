"""The chat dialect: bounds, rewriting and reading usage."""

from __future__ import annotations

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.wire.dialects.openai_chat import (
    completion_path,
    estimate_input,
    input_bound,
    require_bounded,
    rewrite,
)
from faregate.wire.dialects.openai_chat_dialect import ChatStream, read_chat_call
from faregate.wire.dialects.openai_chat_usage import read_chat_answer
from faregate.wire.dialects.seam import Reading

CONTENT = b'data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":"%b"}}],"usage":null}\n\n'
USAGE = b'data: {"id":"c","model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":0,"cost":1e-7}}\n\n'
DONE = b"data: [DONE]\n\n"
AZURE = b'data: {"choices":[],"prompt_filter_results":[]}\n\n'


def usage_of(reader: ChatStream, *, input_estimate: int | None = None) -> tuple[dict[str, object], bool]:
    return shown(reader.read(input_estimate=input_estimate, complete=False))


def shown(reading: Reading) -> tuple[dict[str, object], bool]:
    return json.loads(msgspec.json.encode(reading.record.usage or {}), parse_float=str), reading.estimated


@given(
    events=st.lists(
        st.sampled_from([CONTENT % b"a", CONTENT % "ä€".encode(), USAGE, AZURE, b": ping\n\n", b"data: {]\n\n"])
    ),
    strip=st.booleans(),
    places=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_stripping_removes_the_usage_chunk_and_not_a_byte_more(
    *, events: list[bytes], strip: bool, places: list[int]
) -> None:
    stream = b"".join([*events, DONE])
    borders = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    reader = ChatStream(strip_usage=strip, most_output=None)
    passed = b"".join(reader.feed(stream[start:end]) for start, end in pairwise(borders))
    assert reader.finished
    assert passed == b"".join(event for event in events if not (strip and event is USAGE))
    assert reader.end() == DONE
    assert reader.deltas == sum(event.startswith(b'data: {"id"') and event is not USAGE for event in events)
    if USAGE in events:
        assert usage_of(reader, input_estimate=99) == (
            {"prompt_tokens": 7, "completion_tokens": 0, "cost": "1E-7", "total_tokens": 7},
            False,
        )


def test_what_follows_done_is_kept_for_the_end() -> None:
    reader = ChatStream(strip_usage=True, most_output=None)
    assert reader.feed(CONTENT % b"a" + DONE + b": bye\n") == CONTENT % b"a"
    assert reader.feed(b"\n") == b""
    assert reader.end() == DONE + b": bye\n\n"


def test_null_overwrites_nothing_and_a_later_value_wins_per_field() -> None:
    reader = ChatStream(strip_usage=False, most_output=None)
    reader.feed(b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1}}\n\n')
    reader.feed(b'data: {"choices":[],"usage":{"prompt_tokens":null,"completion_tokens":3}}\n\n')
    reader.feed(b'data: {"choices":[],"usage":null}\n\n')
    assert usage_of(reader) == ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}, False)


def test_an_estimate_takes_the_larger_of_deltas_and_characters() -> None:
    reader = ChatStream(strip_usage=False, most_output=None)
    for text in (b"a", b"b", b"c"):
        reader.feed(CONTENT % text)
    assert reader.output_estimate == 3
    reader.feed(CONTENT % (b"x" * 37))
    assert reader.output_estimate == 10
    assert usage_of(reader, input_estimate=4) == (
        {"prompt_tokens": 4, "completion_tokens": 10, "total_tokens": 14},
        True,
    )
    assert usage_of(reader) == ({}, False)


def test_the_total_is_computed_again() -> None:
    body = b'{"usage":{"prompt_tokens":2,"completion_tokens":3,"total_tokens":500}}'
    usage, _ = shown(read_chat_answer(body, input_estimate=None, most_output=None))
    assert usage["total_tokens"] == 5


def test_an_answer_that_is_not_json_leaves_everything_unknown() -> None:
    for body in (b"<html>", b'{"usage":[1]}'):
        reading = read_chat_answer(body, input_estimate=None, most_output=None)
        assert (shown(reading), reading.record.id) == (({}, False), None)


@given(
    st.lists(st.text(max_size=40), max_size=4),
    st.dictionaries(st.text(min_size=1, max_size=5).map(lambda name: "x" + name), st.integers() | st.text(max_size=5)),
    st.integers(1, 10_000),
)
def test_rewriting_keeps_every_field_and_limits_the_output(
    contents: list[str], others: dict[str, object], most: int
) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": text} for text in contents], "stream": True} | others)
    request = read_chat_call(body.encode())
    sent = json.loads(rewrite(request, body.encode(), most_output_per_choice=most))
    assert sent == json.loads(body) | {"max_tokens": most, "stream_options": {"include_usage": True}}
    assert input_bound(request, body.encode()) > sum(len(text.encode()) for text in contents)
    assert estimate_input(request) == max(1, -(-sum(map(len, contents)) // 4))


def test_numbers_keep_their_spelling_and_a_name_sent_twice_is_sent_once() -> None:
    body = b'{"messages":[],"temperature":1.10,"seed":123456789012345678901,"max_tokens":10,"max_tokens":9}'
    sent = rewrite(read_chat_call(body), body, most_output_per_choice=9)
    assert sent == b'{"messages":[],"temperature":1.10,"seed":123456789012345678901,"max_tokens":9}'


def test_a_body_that_needs_no_change_is_the_same_object() -> None:
    body = b'{"messages":[], "stream":true, "stream_options":{"include_usage":true}}'
    assert rewrite(read_chat_call(body), body, most_output_per_choice=None) is body
    plain = b'{"messages":[]}'
    assert rewrite(read_chat_call(plain), plain, most_output_per_choice=None) is plain


@pytest.mark.parametrize("body", [b"", b"nope", b"[]", b"{}", b'{"messages":5}', b'{"messages":[{"content":"\xff"}]}'])
def test_a_request_that_cannot_be_read_is_invalid_input(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_chat_call(body)


def test_null_fields_count_as_absent() -> None:
    body = b'{"messages":[{"role":"user","content":null,"audio":null}],"audio":null,"prediction":null,"n":null}'
    request = read_chat_call(body)
    require_bounded(request)
    assert request.choices == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ({"audio": {"voice": "alloy"}}, "modalities"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"prediction": {"type": "content"}}, "prediction"),
        ({"web_search_options": {}}, "web_search_options"),
    ],
)
def test_what_the_request_does_not_bound_is_refused_by_its_name(fields: dict[str, object], named: str) -> None:
    request = read_chat_call(json.dumps({"messages": []} | fields).encode())
    with pytest.raises(InvalidInput) as refused:
        require_bounded(request)
    assert refused.value.faults[0].field == named


@pytest.mark.parametrize(
    ("fields", "most"),
    [
        ({}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 6}, 6),
        ({"max_tokens": 5, "max_completion_tokens": 6}, 6),
    ],
)
def test_the_callers_own_limit_is_the_larger_of_the_two_it_may_name(
    fields: dict[str, object], most: int | None
) -> None:
    body = json.dumps({"messages": []} | fields).encode()
    request = read_chat_call(body)
    assert request.most_output_per_choice == most
    sent = json.loads(rewrite(request, body, most_output_per_choice=3))
    assert {name: sent[name] for name in fields or {"max_tokens": 3}} == dict.fromkeys(fields or ["max_tokens"], 3)


@pytest.mark.parametrize(
    ("rest", "path"),
    [
        ("", "/chat/completions"),
        ("/", "/chat/completions"),
        ("/completions", "/chat/completions"),
        ("/chat/completions", "/chat/completions"),
        ("/responses", None),
        ("/chat/completions/x", None),
    ],
)
def test_what_follows_the_route_names_the_upstreams_path(rest: str, path: str | None) -> None:
    assert completion_path(rest) == path
