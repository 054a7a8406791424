"""Whatever a caller or an upstream sends, a dialect answers with a value or `InvalidInput`."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.wire.dialects.seam import MeteredDialect
from tests.support.dialect_streams import DIALECTS, GENERIC

NAMES = """
    type choices delta content text usage prompt_tokens completion_tokens prompt_tokens_details cached_tokens response
    output input_tokens output_tokens message content_block stop_reason meter read wrote piece id model error messages
    input tools source system thinking budget_tokens instructions max_tokens max_output_tokens n stream stream_options
    limit sequence_number summary arguments
""".split()
WORDS = [
    "text",
    "message",
    "error",
    "message_start",
    "message_delta",
    "message_stop",
    "content_block_delta",
    "response.completed",
    "response.output_text.delta",
    "document",
    "tool_result",
    "function_call_output",
    "content",
    "9",
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=12,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
by_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=[dialect.name for dialect in DIALECTS])


@by_dialect
@settings(max_examples=60)
@given(events=st.lists(objects, max_size=5))
def test_no_event_is_a_fault(dialect: MeteredDialect, events: list[dict[str, object]]) -> None:
    stream = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    meter = dialect.stream(request=None, headers=(), most_output=None)
    passed = meter.feed(stream)
    for input_estimate in (None, 5):
        reading = meter.read(input_estimate=input_estimate, complete=meter.finished)
        tokens = reading.record.tokens
        if tokens is not None:
            assert min(tokens.input, tokens.output, tokens.total) >= 0
    assert meter.output_so_far >= 0
    assert passed + meter.end() == stream


@by_dialect
@settings(max_examples=60)
@given(answer=objects)
def test_no_answer_is_a_fault(dialect: MeteredDialect, answer: dict[str, object]) -> None:
    body = json.dumps(answer).encode()
    for input_estimate in (None, 5):
        reading = dialect.read_answer(body, request=None, headers=(), input_estimate=input_estimate, most_output=None)
        assert reading.estimated <= (input_estimate is not None)


@by_dialect
@settings(max_examples=60)
@given(fields=objects)
def test_no_request_is_a_fault(dialect: MeteredDialect, fields: dict[str, object]) -> None:
    body = json.dumps(fields).encode()
    try:
        request = dialect.read_request(body)
        request.require_bounded()
    except InvalidInput:
        return
    assert 1 <= request.input_estimate() <= request.input_bound() or dialect is GENERIC
    assert isinstance(json.loads(request.rewrite(most_output_per_choice=50)), dict)
    request.summary()
