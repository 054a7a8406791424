"""What holds for a streamed answer in every dialect: however it is cut, and wherever it breaks off."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faregate.wire.dialects.registry import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from faregate.wire.dialects.seam import Fault, MeteredDialect, Reading, StreamMeter
from faregate.wire.sse import EventSplitter, data_of
from tests.support.dialect_streams import DIALECTS, GENERIC, Sample, request_of, sample_of

INPUT_ESTIMATE = 9
MOST_OUTPUT = 40
BROKEN = Fault(status=502, type="server_error", code="upstream_unavailable", message="It broke off.")
UNKNOWN = [
    b": ping\n\n",
    b'event: other\ndata: {"type":"other","response":5}\n\n',
    b'event: odd\ndata: {"type":["response.completed"],"response":{},"error":null}\n\n',
    b"data: {]\n\n",
    b"data: " + b"[" * 5_000 + b"\n\n",
    b'data: {"type":"message_delta","usage":[1],"delta":{"text":5},"choices":null,"meter":3}\n\n',
    b"id: 7\nretry: 5\n\n",
    b'data: {"type":\ndata: "multi-line"}\n\n',
]

by_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=[dialect.name for dialect in DIALECTS])
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=4)
line_ends = st.sampled_from(["\n", "\r\n"])
all_line_ends = st.sampled_from(["\n", "\r\n", "\r"])


def meter_of(dialect: MeteredDialect, *, strip: bool = False, most_output: int | None = MOST_OUTPUT) -> StreamMeter:
    options = {} if strip or dialect is not OPENAI_CHAT else {"stream_options": {"include_usage": True}}
    request = dialect.read_request(request_of(dialect, **options))
    return dialect.stream(request=request, headers=(), most_output=most_output)


def read(meter: StreamMeter) -> Reading:
    return meter.read(input_estimate=INPUT_ESTIMATE, complete=meter.finished)


def output_of(reading: Reading) -> int:
    assert reading.record.tokens is not None
    return reading.record.tokens.output


def state_of(meter: StreamMeter) -> tuple[object, ...]:
    return read(meter), meter.finished, meter.first_token_seen, meter.output_so_far


def with_unknown(sample: Sample, places: list[tuple[int, bytes]]) -> list[bytes]:
    events = list(sample.events)
    for place, unknown in places:
        events.insert(place % len(sample.events), unknown)
    return events


@by_dialect
@given(
    texts=texts,
    line_end=all_line_ends,
    strip=st.booleans(),
    unknown=st.lists(st.tuples(st.integers(0, 50), st.sampled_from(UNKNOWN)), max_size=3),
    places=st.lists(st.integers(0, 20_000), max_size=12),
)
def test_any_split_of_the_bytes_gives_the_same_as_the_whole(
    dialect: MeteredDialect,
    *,
    texts: list[str],
    line_end: str,
    strip: bool,
    unknown: list[tuple[int, bytes]],
    places: list[int],
) -> None:
    stream = b"".join(with_unknown(sample_of(dialect, texts, line_end=line_end), unknown))
    borders = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    whole, pieces = meter_of(dialect, strip=strip), meter_of(dialect, strip=strip)
    passed = whole.feed(stream)
    assert b"".join(pieces.feed(stream[start:end]) for start, end in pairwise(borders)) == passed
    assert state_of(pieces) == state_of(whole)
    assert pieces.end() == whole.end()


@by_dialect
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_cut_at_each_single_byte_gives_the_same_as_the_whole(dialect: MeteredDialect, line_end: str) -> None:
    stream = sample_of(dialect, ["äb€", "\U0001f319 moon", '"{\\'], line_end=line_end).bytes
    whole = meter_of(dialect, strip=True)
    passed, state = whole.feed(stream), state_of(whole)
    end = whole.end()
    for place in range(len(stream)):
        pieces = meter_of(dialect, strip=True)
        assert pieces.feed(stream[:place]) + pieces.feed(stream[place:]) == passed
        assert state_of(pieces) == state
        assert pieces.end() == end


@by_dialect
@settings(max_examples=15)
@given(texts=texts, line_end=line_ends, wrote=st.integers(0, 100))
def test_every_prefix_is_billed_by_the_policy_and_never_less_than_a_shorter_one(
    dialect: MeteredDialect, *, texts: list[str], line_end: str, wrote: int
) -> None:
    sample = sample_of(dialect, texts, wrote=wrote, line_end=line_end)
    meter = meter_of(dialect)
    characters = sum(map(len, texts))
    policy = min(MOST_OUTPUT, max(sum(map(bool, texts)), -(-characters // 4)))
    before, final = 0, False
    for place in range(len(sample.bytes)):
        meter.feed(sample.bytes[place : place + 1])
        reading = read(meter)
        record = reading.record
        assert record.usage
        assert record.tokens is not None
        assert record.tokens.total >= min(INPUT_ESTIMATE, sample.read)
        if reading.estimated:
            assert not final
            reported = max(1, wrote) if dialect is GENERIC else 1
            assert before <= output_of(reading) <= max(policy, reported)
            assert meter.output_so_far == output_of(reading)
            before = output_of(reading)
        else:
            final = True
            assert (output_of(reading), meter.output_so_far) == (wrote, wrote)
    assert final


@by_dialect
@given(texts=texts, line_end=line_ends)
def test_a_whole_stream_is_billed_what_it_reports_and_every_byte_is_passed_on(
    dialect: MeteredDialect, *, texts: list[str], line_end: str
) -> None:
    sample = sample_of(dialect, texts, line_end=line_end)
    meter = meter_of(dialect)
    passed = meter.feed(sample.bytes)
    assert meter.finished
    assert passed == b"".join(sample.events[:-1])
    assert meter.end() == sample.events[-1]
    assert meter.end() == b""
    reading = read(meter)
    assert not reading.estimated
    tokens = reading.record.tokens
    assert tokens is not None
    assert tokens.output == sample.wrote
    assert tokens.total == tokens.input + tokens.cached_read + tokens.cache_write + tokens.output
    apart = 18 if dialect is ANTHROPIC_MESSAGES else 0
    assert tokens.total == sample.read + apart + sample.wrote
    if dialect is not GENERIC:
        assert reading.record.model in {"gpt-x", "claude-x"}
        assert reading.record.id is not None


@by_dialect
@given(
    texts=texts,
    line_end=line_ends,
    unknown=st.lists(st.tuples(st.integers(0, 50), st.sampled_from(UNKNOWN)), min_size=1, max_size=4),
)
def test_unknown_events_pass_untouched_and_count_nothing(
    dialect: MeteredDialect, *, texts: list[str], line_end: str, unknown: list[tuple[int, bytes]]
) -> None:
    sample = sample_of(dialect, texts, line_end=line_end)
    events = with_unknown(sample, unknown)
    known, mixed = meter_of(dialect), meter_of(dialect)
    known.feed(sample.bytes + b":\n")
    passed = mixed.feed(b"".join([*events, b":\n"]))
    assert passed == b"".join(events[:-1])
    assert read(mixed) == read(known)


@by_dialect
@settings(max_examples=15)
@given(texts=texts, line_end=line_ends, place=st.integers(0, 20_000))
def test_a_stream_broken_anywhere_can_be_closed_with_an_error_that_is_an_event_of_its_own(
    dialect: MeteredDialect, *, texts: list[str], line_end: str, place: int
) -> None:
    sample = sample_of(dialect, texts, line_end=line_end)
    meter = meter_of(dialect)
    passed = meter.feed(sample.bytes[: place % len(sample.bytes)])
    closing = meter.close_with(BROKEN)
    events = EventSplitter().feed(passed + closing)
    assert b"".join(raw for raw, _ in events) == passed + closing
    last = events[-1][1]
    assert last is not None
    error = json.loads(last)["error"]
    assert error["message"] == "It broke off."
    assert error["code"] == "upstream_unavailable"
    assert meter.end() == b""
    for _, data in events[:-1]:
        json.loads(data or b"{}")


@by_dialect
def test_what_follows_the_end_is_kept_for_the_caller(dialect: MeteredDialect) -> None:
    sample = sample_of(dialect, ["a"])
    meter = meter_of(dialect)
    meter.feed(sample.bytes + b": bye\n")
    assert meter.feed(b"\n") == b""
    assert meter.end() == sample.events[-1] + b": bye\n\n"
    at_once = meter_of(dialect)
    at_once.feed(sample.bytes + UNKNOWN[1] + b": bye\n\n")
    assert at_once.end() == sample.events[-1] + UNKNOWN[1] + b": bye\n\n"


@by_dialect
def test_without_an_estimate_of_the_input_nothing_is_estimated(dialect: MeteredDialect) -> None:
    meter = meter_of(dialect)
    meter.feed(b"".join(sample_of(dialect, ["a", "b"]).events[:4]))
    assert not meter.read(input_estimate=None, complete=False).estimated
    empty = meter_of(dialect).read(input_estimate=None, complete=False)
    assert empty == Reading(empty.record, estimated=False)
    assert (empty.record.usage, empty.record.tokens) == (None, None)


@by_dialect
def test_an_explicit_zero_is_a_value_and_never_replaced_by_an_estimate(dialect: MeteredDialect) -> None:
    meter = meter_of(dialect)
    meter.feed(sample_of(dialect, ["some", "text"], wrote=0).bytes)
    reading = read(meter)
    assert (output_of(reading), reading.estimated) == (0, False)


@by_dialect
def test_the_first_token_is_seen_when_the_first_content_comes(dialect: MeteredDialect) -> None:
    sample = sample_of(dialect, ["", "x"])
    meter = meter_of(dialect)
    seen = []
    for raw in sample.events:
        meter.feed(raw)
        seen.append(meter.first_token_seen)
    assert seen.index(True) == next(place for place, raw in enumerate(sample.events) if b'"x"' in raw)


def test_events_with_a_name_are_read_like_those_without() -> None:
    assert data_of(b"event: a\ndata: {}\n\n") == b"{}"
    assert data_of(b"event: a\rdata: b\ndata: c\n\n") == b"b\nc"
    assert data_of(b"event: a\ndata: b\ndata: c\n\n") == b"b\nc"
    assert data_of(b"event: a\n\n") is None


def test_only_a_chat_stream_has_something_stripped() -> None:
    for dialect in DIALECTS:
        sample = sample_of(dialect, ["a"])
        passed = meter_of(dialect, strip=True).feed(sample.bytes)
        usage = sample.events[-2] if dialect is OPENAI_CHAT else b""
        assert passed == b"".join(sample.events[:-1]).replace(usage, b"")


def test_each_error_event_has_its_dialects_form() -> None:
    responses = meter_of(OPENAI_RESPONSES)
    responses.feed(b"".join(sample_of(OPENAI_RESPONSES, ["a"]).events[:3]))
    name, _, rest = responses.close_with(BROKEN).partition(b"\n")
    payload = json.loads(rest.removeprefix(b"data: "))
    assert name == b"event: error"
    assert {key: payload[key] for key in ("type", "code", "message", "param", "sequence_number")} == {
        "type": "error",
        "code": "upstream_unavailable",
        "message": "It broke off.",
        "param": None,
        "sequence_number": 3,
    }
    assert meter_of(ANTHROPIC_MESSAGES).close_with(BROKEN) == (
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"It broke off.",'
        b'"code":"upstream_unavailable"}}\n\n'
    )
    assert meter_of(OPENAI_CHAT).close_with(BROKEN) == (
        b'data: {"error":{"message":"It broke off.","type":"server_error","param":null,'
        b'"code":"upstream_unavailable"}}\n\n'
    )
