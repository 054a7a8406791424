import json
import time
from http.client import HTTPResponse, IncompleteRead

import pytest

from tests.upstream.conftest import Upstream, chat, post

WITH_USAGE = {"include_usage": True}


def events_of(text: bytes) -> list[bytes]:
    return [event.removeprefix(b"data: ") for event in text.split(b"\n\n") if event]


def read_what_comes(response: HTTPResponse) -> bytes:
    """Return what arrived before the connection broke; it must break."""
    with pytest.raises(IncompleteRead) as cut:
        response.read()
    return cut.value.partial


def wait_for_phase(upstream: Upstream, request_id: str, phase: str) -> None:
    deadline = time.monotonic() + 10
    while phase not in [line.phase for line in upstream.lines_of(request_id)]:
        assert time.monotonic() < deadline, f"{request_id} was not {phase} within 10 s"
        time.sleep(0.01)


@pytest.mark.parametrize("chunks", [0, 1, 7])
def test_a_stream_breaks_after_the_chunks_asked_for(upstream: Upstream, request_id: str, chunks: int) -> None:
    connection = upstream.connection()
    response = post(connection, chat(stream=True), {"x-demo-break-after": str(chunks), "x-request-id": request_id})
    assert response.status == 200
    assert len(events_of(read_what_comes(response))) == chunks
    begun, aborted = upstream.lines_of(request_id)
    assert (begun.phase, aborted.phase) == ("begun", "aborted")
    assert (aborted.chunks, aborted.completion_tokens) == (chunks, max(0, chunks - 1))
    connection.close()


def test_a_stream_can_break_between_its_last_chunk_and_its_end(upstream: Upstream, request_id: str) -> None:
    connection = upstream.connection()
    headers = {"x-demo-break-after": "5", "x-request-id": request_id}
    response = post(connection, chat(stream=True, max_tokens=2, stream_options=WITH_USAGE), headers)
    last = events_of(read_what_comes(response))[-1]
    assert json.loads(last)["usage"]["completion_tokens"] == 2
    assert upstream.lines_of(request_id)[-1].phase == "aborted"
    connection.close()


def test_a_stream_shorter_than_its_break_ends_well(upstream: Upstream, request_id: str) -> None:
    connection = upstream.connection()
    headers = {"x-demo-break-after": "6", "x-request-id": request_id}
    response = post(connection, chat(stream=True, max_tokens=2, stream_options=WITH_USAGE), headers)
    assert events_of(response.read())[-1] == b"[DONE]"
    assert upstream.lines_of(request_id)[-1].phase == "completed"
    connection.close()


def test_a_json_answer_breaks_amid_its_body(upstream: Upstream, request_id: str) -> None:
    connection = upstream.connection()
    response = post(connection, chat(), {"x-demo-break-after": "1", "x-request-id": request_id})
    partial = read_what_comes(response)
    assert 0 < len(partial) < int(response.headers["content-length"])
    aborted = upstream.lines_of(request_id)[-1]
    assert (aborted.phase, aborted.completion_tokens) == ("aborted", 0)
    connection.close()


def test_a_caller_that_leaves_amid_a_stream_is_logged_as_aborted(upstream: Upstream, request_id: str) -> None:
    connection = upstream.connection()
    headers = {"x-demo-token-ms": "50", "x-request-id": request_id}
    response = post(connection, chat(stream=True, max_tokens=500), headers)
    for _ in range(3):  # the role and two tokens, each with its blank line
        response.readline()
        response.readline()
    response.close()
    connection.close()
    wait_for_phase(upstream, request_id, "aborted")
    aborted = upstream.lines_of(request_id)[-1]
    assert 3 <= aborted.chunks < 500
    assert aborted.completion_tokens == aborted.chunks - 1


def test_a_caller_that_leaves_before_a_slow_json_answer_is_logged_as_aborted(
    upstream: Upstream, request_id: str
) -> None:
    connection = upstream.connection()
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps(chat()),
        {"x-demo-first-token-ms": "60000", "x-request-id": request_id},
    )
    wait_for_phase(upstream, request_id, "begun")
    connection.close()
    wait_for_phase(upstream, request_id, "aborted")
    assert upstream.lines_of(request_id)[-1].completion_tokens == 0


def test_a_caller_that_leaves_amid_its_own_request_is_not_logged(upstream: Upstream, request_id: str) -> None:
    connection = upstream.connection()
    connection.putrequest("POST", "/v1/chat/completions")
    connection.putheader("content-length", "100")
    connection.putheader("x-request-id", request_id)
    connection.endheaders(b"{")
    connection.close()
    response = post(after := upstream.connection(), chat())
    assert response.status == 200
    after.close()
    assert upstream.lines_of(request_id) == []


@pytest.mark.parametrize("stream", [False, True])
def test_the_first_token_waits_as_long_as_asked(upstream: Upstream, stream: bool) -> None:  # noqa: FBT001
    connection = upstream.connection()
    started = time.monotonic()
    response = post(connection, chat(stream=stream), {"x-demo-first-token-ms": "120"})
    response.read(1)
    assert time.monotonic() - started >= 0.12
    connection.close()


def test_chunks_are_sent_as_they_come_and_not_at_the_end(upstream: Upstream, request_id: str) -> None:
    connection = upstream.connection()
    headers = {"x-demo-token-ms": "60", "x-request-id": request_id}
    started = time.monotonic()
    response = post(connection, chat(stream=True, max_tokens=20), headers)
    response.readline()
    assert [line.phase for line in upstream.lines_of(request_id)] == ["begun"]
    response.read()
    assert time.monotonic() - started >= 21 * 0.06  # twenty tokens and the finish reason follow the role
    connection.close()


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "invalid_request_error"), (503, "server_error")]
)
def test_a_call_fails_with_the_status_asked_for(upstream: Upstream, request_id: str, status: int, kind: str) -> None:
    connection = upstream.connection()
    headers = {"x-demo-fail-status": str(status), "x-request-id": request_id, "x-demo-first-token-ms": "1"}
    response = post(connection, chat(stream=True), headers)
    assert response.status == status
    assert json.loads(response.read())["error"]["type"] == kind
    completed = upstream.lines_of(request_id)[-1]
    assert (completed.phase, completed.status, completed.prompt_tokens) == ("completed", status, 0)
    connection.close()


def test_a_caller_that_leaves_before_a_slow_failure_is_logged_as_aborted(upstream: Upstream, request_id: str) -> None:
    connection = upstream.connection()
    headers = {"x-demo-fail-status": "500", "x-demo-first-token-ms": "60000", "x-request-id": request_id}
    connection.request("POST", "/v1/chat/completions", json.dumps(chat()), headers)
    wait_for_phase(upstream, request_id, "begun")
    connection.close()
    wait_for_phase(upstream, request_id, "aborted")


def test_usage_is_left_out_where_asked(upstream: Upstream) -> None:
    connection = upstream.connection()
    headers = {"x-demo-omit-usage": "true"}
    assert "usage" not in json.loads(post(connection, chat(), headers).read())
    streamed = post(connection, chat(stream=True, stream_options=WITH_USAGE), headers).read()
    assert b"usage" not in streamed
    connection.close()


def test_a_given_usage_is_reported_word_for_word(upstream: Upstream) -> None:
    connection = upstream.connection()
    headers = {"x-demo-usage": '{"prompt_tokens":0, "completion_tokens":null,"odd":1.50}'}
    assert b'"usage":' + headers["x-demo-usage"].encode() in post(connection, chat(), headers).read()
    streamed = events_of(post(connection, chat(stream=True, stream_options=WITH_USAGE), headers).read())
    assert b'"usage":' + headers["x-demo-usage"].encode() in streamed[-2]
    connection.close()
