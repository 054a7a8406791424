"""Responses and messages: the official client and the gateway's own readers read them, and the call log agrees."""

import json
from collections.abc import Iterator
from http.client import IncompleteRead

import pytest
from openai import BadRequestError, OpenAI

from faregate.apps.upstream.tokenizer import count_tokens
from faregate.wire.dialects.registry import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from faregate.wire.dialects.seam import MeteredDialect
from tests.upstream.conftest import Upstream

MODEL = "faregate-demo"
QUESTION = "Where is the cat?"
ASKED: dict[str, dict[str, object]] = {
    OPENAI_CHAT.name: {"messages": [{"role": "user", "content": QUESTION}], "stream_options": {"include_usage": True}},
    OPENAI_RESPONSES.name: {"input": QUESTION},
    ANTHROPIC_MESSAGES.name: {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 4_096},
}
by_dialect = pytest.mark.parametrize(
    "dialect",
    [OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES],
    ids=[OPENAI_CHAT.name, OPENAI_RESPONSES.name, ANTHROPIC_MESSAGES.name],
)


def asked(dialect: MeteredDialect, *, stream: bool, **fields: object) -> dict[str, object]:
    body = {"model": MODEL} | ASKED[dialect.name] | ({"stream": True} if stream else {}) | fields
    if not stream:
        body.pop("stream_options", None)
    return body


def call(
    upstream: Upstream, dialect: MeteredDialect, body: object, headers: dict[str, str]
) -> Iterator[tuple[int, bytes]]:
    """Yield the answer's status and bytes; what came before a break counts."""
    connection = upstream.connection()
    path = dialect.upstream_path("")
    assert path is not None
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    try:
        yield response.status, response.read()
    except IncompleteRead as cut:
        yield response.status, cut.partial
    connection.close()


def test_a_response_reports_the_tokens_of_its_own_text(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input=[{"role": "user", "content": QUESTION}], instructions="Hm.")
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.output_tokens == count_tokens(response.output_text)
    assert response.usage.input_tokens == 8 + count_tokens(QUESTION) + count_tokens("Hm.")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_a_streamed_response_says_and_costs_the_same_as_the_whole_one(client: OpenAI) -> None:
    whole = client.responses.create(model=MODEL, input=QUESTION)
    text, last = "", None
    with client.responses.create(model=MODEL, input=QUESTION, stream=True) as events:
        numbers = []
        for event in events:
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                text += event.delta
            last = event
    assert numbers == list(range(len(numbers)))
    assert last is not None
    assert last.type == "response.completed"
    assert text == whole.output_text == last.response.output_text
    assert last.response.usage == whole.usage


def test_a_response_over_its_limit_is_incomplete(client: OpenAI) -> None:
    headers = {"x-demo-completion-tokens": "100"}
    response = client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=16, extra_headers=headers)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert response.usage.output_tokens == 16
    with pytest.raises(BadRequestError, match="max_output_tokens"):
        client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=15)


def test_a_message_stops_at_its_limit_and_must_name_one(upstream: Upstream) -> None:
    limited = asked(ANTHROPIC_MESSAGES, stream=False, max_tokens=2, system="Hm.")
    [(status, body)] = call(upstream, ANTHROPIC_MESSAGES, limited, {})
    message = json.loads(body)
    assert (status, message["stop_reason"], message["usage"]["output_tokens"]) == (200, "max_tokens", 2)
    assert message["usage"]["input_tokens"] == 8 + count_tokens(QUESTION) + count_tokens("Hm.")
    [(status, body)] = call(upstream, ANTHROPIC_MESSAGES, {"model": MODEL, "messages": limited["messages"]}, {})
    assert status == 400
    error = json.loads(body)
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert "max_tokens" in error["error"]["message"]


def test_a_failure_has_the_protocols_form(upstream: Upstream) -> None:
    for status, error_type in ((529, "overloaded_error"), (500, "api_error"), (418, "invalid_request_error")):
        body = asked(ANTHROPIC_MESSAGES, stream=False)
        [answer] = call(upstream, ANTHROPIC_MESSAGES, body, {"x-demo-fail-status": str(status)})
        assert answer[0] == status
        assert json.loads(answer[1])["error"]["type"] == error_type
    [answer] = call(upstream, OPENAI_RESPONSES, asked(OPENAI_RESPONSES, stream=True), {"x-demo-fail-status": "429"})
    assert (answer[0], json.loads(answer[1])["error"]["code"]) == (429, "demo_failure")


@by_dialect
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    "directions",
    [{}, {"x-demo-prompt-tokens": "374", "x-demo-completion-tokens": "44"}],
    ids=["counted", "replayed"],
)
def test_the_gateways_reader_finds_what_the_call_log_says(
    upstream: Upstream, request_id: str, dialect: MeteredDialect, *, stream: bool, directions: dict[str, str]
) -> None:
    request = asked(dialect, stream=stream)
    [(status, body)] = call(upstream, dialect, request, directions | {"x-request-id": request_id})
    line = upstream.lines_of(request_id)[-1]
    assert (status, line.phase) == (200, "completed")
    read = dialect.read_request(json.dumps(request).encode())
    if stream:
        meter = dialect.stream(request=read, headers=(), most_output=None)
        assert meter.feed(body) + meter.end() == body
        reading = meter.read(input_estimate=1, complete=meter.finished)
    else:
        reading = dialect.read_answer(body, request=read, headers=(), input_estimate=1, most_output=None)
    assert not reading.estimated
    tokens = reading.record.tokens
    assert tokens is not None
    assert (tokens.input, tokens.output) == (line.prompt_tokens, line.completion_tokens)
    assert reading.record.model == MODEL
    if not directions:
        assert line.prompt_tokens <= read.input_bound()


@by_dialect
def test_a_stream_that_breaks_after_any_chunk_is_estimated_at_what_had_come(
    upstream: Upstream, request_id: str, dialect: MeteredDialect
) -> None:
    request = asked(dialect, stream=True) | {"max_output_tokens": 16}
    if dialect is not OPENAI_RESPONSES:
        request["max_tokens"] = 16
    for chunks in range(28):
        number = f"{request_id}-{chunks}"
        [(_, body)] = call(upstream, dialect, request, {"x-demo-break-after": str(chunks), "x-request-id": number})
        line = upstream.lines_of(number)[-1]
        meter = dialect.stream(request=None, headers=(), most_output=16)
        meter.feed(body)
        reading = meter.read(input_estimate=7, complete=meter.finished)
        tokens = reading.record.tokens
        assert tokens is not None
        if line.phase == "completed":
            assert meter.finished
        # A token is four letters at most, with the blank before it: characters / 4 is at most a quarter too high.
        assert line.completion_tokens <= tokens.output <= max(1, -(-line.completion_tokens * 5 // 4))
        assert tokens.input in {7, line.prompt_tokens}
        assert reading.estimated or tokens.output == line.completion_tokens


@by_dialect
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_usage_is_left_out_or_replaced_as_asked(upstream: Upstream, dialect: MeteredDialect, *, stream: bool) -> None:
    names = ("prompt_tokens", "completion_tokens") if dialect is OPENAI_CHAT else ("input_tokens", "output_tokens")
    replaced = json.dumps(dict(zip(names, (5, 0), strict=True)))
    for headers, estimated in (({"x-demo-omit-usage": "true"}, True), ({"x-demo-usage": replaced}, False)):
        [(_, body)] = call(upstream, dialect, asked(dialect, stream=stream), headers)
        if stream:
            meter = dialect.stream(request=None, headers=(), most_output=None)
            meter.feed(body)
            reading = meter.read(input_estimate=9, complete=meter.finished)
        else:
            reading = dialect.read_answer(body, request=None, headers=(), input_estimate=9, most_output=None)
        tokens = reading.record.tokens
        assert tokens is not None
        assert reading.estimated is estimated
        assert (tokens.output > 0) is estimated
        assert tokens.input == (9 if estimated else 5)


@by_dialect
@pytest.mark.parametrize("chunks", [0, 6])
def test_a_stream_that_fails_says_so_in_its_protocol_and_is_billed_what_had_come(
    upstream: Upstream, request_id: str, dialect: MeteredDialect, chunks: int
) -> None:
    headers = {"x-demo-fail-after": str(chunks), "x-request-id": request_id}
    [(status, body)] = call(upstream, dialect, asked(dialect, stream=True), headers)
    line = upstream.lines_of(request_id)[-1]
    assert (status, line.phase, line.chunks) == (200, "aborted", chunks)
    meter = dialect.stream(request=None, headers=(), most_output=None)
    assert meter.feed(body) + meter.end() == body
    assert b"This stream was to fail." in body
    reading = meter.read(input_estimate=7, complete=meter.finished)
    if chunks:
        assert reading.estimated
        assert meter.output_so_far >= line.completion_tokens > 0
    else:
        assert (reading.record.usage, reading.estimated) == (None, False)
