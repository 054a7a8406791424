import json
from http.client import HTTPResponse

import pytest

from faregate.apps.upstream.app import MAX_BODY_BYTES
from faregate.apps.upstream.directions import MAX_DELAY_MS, MAX_REPLAY_COMPLETION_TOKENS, Directions, read_directions
from faregate.base.errors import InvalidInput
from tests.upstream.conftest import Upstream, chat, post


def error_of(response: HTTPResponse) -> dict[str, str | None]:
    error: dict[str, str | None] = json.loads(response.read())["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model": "m"', "body"),
        (b"[]", "body"),
        (b"\xff\xfe", "body"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', "body"),
        (b'{"x":' + b"[" * 100_000, "body"),
        ({"model": "m"}, "messages"),
        (chat(messages=[]), "messages"),
        ({"messages": [{"role": "user", "content": "a"}]}, "model"),
        (chat(messages=[{"content": "a"}]), "messages[0].role"),
        (chat(messages=[{"role": "user", "content": 3}]), "messages[0].content"),
        (chat(n=0), "n"),
        (chat(n=129), "n"),
        (chat(max_tokens=0), "max_tokens"),
        (chat(max_completion_tokens="5"), "max_completion_tokens"),
        (chat(stream_options={"include_usage": True}), "stream_options"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_and_its_field_named(
    upstream: Upstream, body: object, param: str
) -> None:
    response = post(connection := upstream.connection(), body)
    assert response.status == 400
    error = error_of(response)
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    connection.close()


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-demo-prompt-tokens", "-1"),
        ("x-demo-prompt-tokens", "10000001"),
        ("x-demo-completion-tokens", "4.5"),
        ("x-demo-completion-tokens", str(MAX_REPLAY_COMPLETION_TOKENS + 1)),
        ("x-demo-first-token-ms", ""),
        ("x-demo-token-ms", str(MAX_DELAY_MS + 1)),
        ("x-demo-fail-status", "399"),
        ("x-demo-fail-status", "600"),
        ("x-demo-break-after", "soon"),
        ("x-demo-omit-usage", "yes"),
        ("x-demo-usage", "[1]"),
        ("x-demo-usage", '{"a":'),
    ],
)
def test_a_direction_that_is_not_understood_is_refused_and_its_header_named(
    upstream: Upstream, header: str, value: str
) -> None:
    response = post(connection := upstream.connection(), chat(), {header: value})
    assert response.status == 400
    assert error_of(response)["param"] == header
    connection.close()


def test_directions_are_taken_up_to_their_limits() -> None:
    headers = {
        "x-demo-prompt-tokens": "10000000",
        "x-demo-completion-tokens": str(MAX_REPLAY_COMPLETION_TOKENS),
        "x-demo-token-ms": str(MAX_DELAY_MS),
        "x-demo-fail-status": "599",
        "x-demo-break-after": "0",
        "x-demo-omit-usage": "false",
    }
    assert read_directions(headers.get) == Directions(
        prompt_tokens=10_000_000,
        completion_tokens=MAX_REPLAY_COMPLETION_TOKENS,
        token_ms=MAX_DELAY_MS,
        fail_status=599,
        break_after_chunks=0,
    )


def test_digits_of_other_scripts_are_no_number() -> None:
    with pytest.raises(InvalidInput, match="x-demo-token-ms"):
        read_directions({"x-demo-token-ms": "\u0664"}.get)


@pytest.mark.parametrize("path", ["/v1", "/ai/chat", ""])
def test_every_path_that_ends_in_chat_completions_is_answered(upstream: Upstream, path: str) -> None:
    response = post(connection := upstream.connection(), chat(), {"x-request-id": "as-sent"}, path=path)
    assert response.status == 200
    assert response.headers["x-request-id"] == "as-sent"
    assert response.headers["content-type"] == "application/json"
    connection.close()


def test_a_body_sent_in_chunks_is_answered_alike(upstream: Upstream) -> None:
    whole = json.dumps(chat()).encode()
    texts = []
    for body in (whole, iter([whole[:10], whole[10:]])):
        connection = upstream.connection()
        connection.request("POST", "/v1/chat/completions", body)
        texts.append(json.loads(connection.getresponse().read())["choices"])
        connection.close()
    assert texts[0] == texts[1]


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_over_the_limit_is_refused(upstream: Upstream, announced: bool) -> None:  # noqa: FBT001
    connection = upstream.connection()
    connection.putrequest("POST", "/v1/chat/completions")
    if announced:
        connection.putheader("content-length", str(MAX_BODY_BYTES + 1))
        connection.endheaders()
    else:
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        part = b" " * (MAX_BODY_BYTES // 4)
        for _ in range(4):
            connection.send(b"%x\r\n%b\r\n" % (len(part), part))
        connection.send(b"1\r\n \r\n")
    response = connection.getresponse()
    assert response.status == 413
    assert str(MAX_BODY_BYTES) in str(error_of(response)["message"])
    connection.close()


def test_health_is_ok_and_an_unknown_path_is_not_found(upstream: Upstream) -> None:
    connection = upstream.connection()
    connection.request("GET", "/healthz")
    health = connection.getresponse()
    assert (health.status, json.loads(health.read())) == (200, {"status": "ok"})
    connection.request("GET", "/v1/chat/completions")
    unknown = connection.getresponse()
    assert unknown.status == 404
    assert error_of(unknown)["code"] == "unknown_url"
    connection.close()
