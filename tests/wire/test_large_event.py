"""The usage of an event too large to be kept is found all the same."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from faregate.wire.dialects.large_event import MAX_OBJECT_BYTES, ObjectFinder
from faregate.wire.dialects.openai_responses_answer import ResponsesStream
from faregate.wire.dialects.seam import Fault
from tests.support.dialect_streams import responses_stream

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["usage", "response", '"{', "\\"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["usage", "response", "a", 'q"', "\\"]), inner, max_size=3)
    ),
    max_leaves=12,
)
documents = st.dictionaries(
    st.sampled_from(["response", "usage", "item", "z"]),
    st.dictionaries(st.sampled_from(["usage", "output", "u"]), values, max_size=3) | values,
    max_size=4,
)


@example(document={"response": ["usage", {}]}, ascii_only=True, places=[])
@example(document={"response": {"usage": 1, "a": [["usage", {}]]}}, ascii_only=True, places=[])
@given(document=documents, ascii_only=st.booleans(), places=st.lists(st.integers(0, 5_000), max_size=8))
def test_the_object_is_found_by_its_path_wherever_the_document_is_cut(
    *, document: dict[str, object], ascii_only: bool, places: list[int]
) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only).encode()
    borders = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    finder = ObjectFinder(b"response", b"usage")
    for start, end in pairwise(borders):
        finder.feed(text[start:end])
    response = document.get("response")
    usage = response.get("usage") if isinstance(response, dict) else None
    found = None if finder.found is None else json.loads(finder.found)
    assert found == (usage if isinstance(usage, dict) else None)


def test_an_object_over_its_limit_is_not_kept() -> None:
    finder = ObjectFinder(b"response", b"usage")
    finder.feed(b'{"response":{"usage":{"a":"' + b"x" * MAX_OBJECT_BYTES)
    finder.feed(b'"}}}')
    assert finder.found is None


def test_what_is_no_json_finds_nothing() -> None:
    finder = ObjectFinder(b"response", b"usage")
    finder.feed(b']}}"usage"{{{"}[\\')
    finder.feed(b'"]"usage":{}')
    assert finder.found is None


@given(
    st.lists(st.text(max_size=10), max_size=3), st.text(min_size=600, max_size=900), st.lists(st.integers(0, 20_000))
)
def test_a_stream_is_billed_what_its_last_event_reports_however_large_that_is(
    texts: list[str], instructions: str, places: list[int]
) -> None:
    sample = responses_stream(texts, instructions=instructions)
    stream = sample.bytes
    borders = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    meter = ResponsesStream(most_output=None, limit=500)
    passed = b"".join(meter.feed(stream[start:end]) for start, end in pairwise(borders))
    assert meter.finished
    reading = meter.read(input_estimate=1, complete=True)
    assert reading.record.tokens is not None
    assert (reading.record.tokens.output, reading.estimated) == (sample.wrote, False)
    assert passed + meter.end() == stream
    assert passed != stream


def test_a_usage_that_is_no_json_in_a_large_event_is_estimated() -> None:
    large = b'data: {"type":"response.completed","response":{"a":"' + b"x" * 900 + b'","usage":{"input_tokens":}}}\n\n'
    meter = ResponsesStream(most_output=None, limit=500)
    assert meter.feed(large) + meter.end() == large
    reading = meter.read(input_estimate=3, complete=False)
    assert reading.estimated
    assert reading.record.usage == {"input_tokens": 3, "output_tokens": 0, "total_tokens": 3}


def test_a_stream_that_breaks_off_inside_a_large_event_ends_it_before_the_error() -> None:
    sample = responses_stream(["a"], instructions="x" * 2_000)
    meter = ResponsesStream(most_output=None, limit=500)
    cut = sample.bytes[: len(sample.events[0]) // 2]
    passed = meter.feed(cut)
    assert passed
    closing = meter.close_with(Fault(status=502, type="server_error", code="c", message="m"))
    assert closing.startswith(b"\n\nevent: error\ndata: {")
