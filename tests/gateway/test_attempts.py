"""A call that its route lets be sent again: only while its caller has nothing, each attempt on record, one billed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from faregate.wire.event import WireEvent
from faregate.wire.gateway_protocol import AttemptFacts
from tests.gateway.control_plane import ControlPlane, free_port
from tests.gateway.running import ASK, gateway, run
from tests.gateway.scripted import (
    DONE,
    STREAM_HEAD,
    Received,
    Script,
    answer_json,
    chunk,
    completion,
    framed,
    scripted,
    stream,
    usage_chunk,
)
from tests.gateway.spoken import CHAT

STREAM = ASK | {"stream": True}
FAILED_WITH_USAGE = b'{"error":{"message":"busy"},"usage":{"prompt_tokens":7,"completion_tokens":90}}'


def in_turn(*scripts: Script) -> Script:
    """Answer each request by the next script, and all further ones by the last."""
    left = list(scripts)

    async def script(request: Received, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return script


def attempts_of(event: WireEvent) -> list[AttemptFacts]:
    assert event.faregate is not None
    return event.faregate.attempts


def usage_of(event: WireEvent) -> dict[str, object]:
    assert event.response is not None
    return event.response.body["usage"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "stream"])
def test_a_call_is_sent_again_after_a_named_status_and_billed_for_the_attempt_that_answered(
    tmp_path: Path, body: dict[str, object]
) -> None:
    async def scenario() -> None:
        answering = stream(chunk("a"), usage_chunk(3, 5), DONE) if "stream" in body else answer_json(completion(3, 5))
        async with CHAT.serve(tmp_path, in_turn(answer_json(FAILED_WITH_USAGE, 503), answering), attempts=3) as (
            gate,
            upstream,
        ):
            assert (await gate.call(body)).status == 200
            (event,) = await gate.plane.events_arrived(1)
            assert await gate.metric("faregate_gateway_attempts_repeated_total") == 1
        assert gate.plane.accounts["sub_1"].settled == {"prc_input": 3, "prc_output": 5}
        assert gate.plane.accounts["sub_1"].outstanding() == 0
        first, second = upstream.requests
        assert (first.header("x-request-id"), first.body) == (second.header("x-request-id"), second.body)
        assert usage_of(event) == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        place = upstream.origin.removeprefix("http://").removesuffix("/v1")
        failed, answered = attempts_of(event)
        assert (failed.attempt, failed.upstream, failed.status) == (1, place, 503)
        assert failed.usage is not None
        assert (failed.usage["prompt_tokens"], failed.usage["completion_tokens"]) == (7, 90)
        assert (answered.attempt, answered.status, answered.usage) == (2, 200, None)
        assert failed.asked_at <= answered.asked_at

    run(scenario())


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "stream"])
def test_a_fallback_with_its_own_key_answers_for_an_upstream_that_cannot_be_reached(
    tmp_path: Path, body: dict[str, object]
) -> None:
    async def scenario() -> None:
        answering = stream(chunk("a"), usage_chunk(3, 5), DONE) if "stream" in body else answer_json(completion(3, 5))
        async with scripted(answering) as fallback:
            plane = ControlPlane()
            gone = f"http://127.0.0.1:{free_port()}/v1"
            own = {"upstream_url": fallback.origin, "upstream_headers": {"X-Key": "other ${UPSTREAM_KEY}"}}
            route = {"attempts": 2, "fallbacks": [own], "upstream_headers": {"authorization": "Bearer first"}}
            plane.seed(gone, route=route)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(body)).status == 200
                (event,) = await plane.events_arrived(1)
        (request,) = fallback.requests
        assert request.target == "/v1/chat/completions"
        assert (request.header("x-key"), request.header("authorization")) == ("other sk-upstream", None)
        assert [(found.attempt, found.status) for found in attempts_of(event)] == [(1, None), (2, 200)]

    run(scenario())


def test_an_upstream_that_took_the_request_and_broke_off_is_not_asked_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def script(_: Received, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with CHAT.serve(tmp_path, script, attempts=3) as (gate, upstream):
            assert (await gate.call(ASK)).status == 502
            (event,) = await gate.plane.events_arrived(1)
        assert len(upstream.requests) == 1
        assert attempts_of(event) == []

    run(scenario())


def test_nothing_is_sent_again_once_a_byte_of_an_answer_has_reached_the_caller(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, stream(chunk("a"), end=False), attempts=3) as (gate, upstream):
            answer = await gate.call(STREAM)
            assert b"upstream_unavailable" in answer.body
            (event,) = await gate.plane.events_arrived(1)
        assert len(upstream.requests) == 1
        assert usage_of(event)["completion_tokens"] == 1

    run(scenario())


def test_a_status_that_the_route_does_not_name_is_passed_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, answer_json(b'{"error":{}}', 429), attempts=3) as (gate, upstream):
            assert (await gate.call(ASK)).status == 429
        assert len(upstream.requests) == 1

    run(scenario())


def test_the_last_attempts_answer_is_passed_on_whatever_it_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(
            tmp_path, answer_json(b'{"error":{"message":"busy"}}', 503, x_from="here"), attempts=3
        ) as (gate, upstream):
            answer = await gate.call(ASK)
            assert (answer.status, answer.headers["x-from"]) == (503, "here")
            (event,) = await gate.plane.events_arrived(1)
            assert gate.plane.accounts["sub_1"].settled.get("prc_output", 0) == 0
        assert len(upstream.requests) == 3
        assert [found.status for found in attempts_of(event)] == [503, 503, 503]

    run(scenario())


def test_an_upstream_that_asks_for_more_patience_than_a_caller_has_is_not_asked_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, answer_json(b"{}", 503, retry_after="11"), attempts=3) as (gate, upstream):
            answer = await gate.call(ASK)
            assert (answer.status, answer.headers["retry-after"]) == (503, "11")
        assert len(upstream.requests) == 1

    run(scenario())


def test_all_attempts_together_stay_within_the_routes_total_timeout(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def slow(_: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.3)
            writer.write(b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")

        async with CHAT.serve(tmp_path, slow, attempts=5, total_timeout_ms=800) as (gate, upstream):
            started_s = asyncio.get_running_loop().time()
            assert (await gate.call(ASK)).status in {503, 504}
            assert asyncio.get_running_loop().time() - started_s < 2.0
        assert len(upstream.requests) < 4

    run(scenario())


def test_a_failed_answer_that_never_ends_does_not_hold_up_the_next_attempt(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def endless(_: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD.replace(b"200 OK", b"503 X") + framed(b"data: {}\n\n"))
            await writer.drain()
            await asyncio.sleep(10)

        answering = stream(chunk("a"), usage_chunk(3, 5), DONE)
        async with CHAT.serve(tmp_path, in_turn(endless, answering), attempts=2) as (gate, _):
            async with asyncio.timeout(5):
                assert (await gate.call(STREAM)).status == 200
            (event,) = await gate.plane.events_arrived(1)
        assert usage_of(event)["completion_tokens"] == 5
        assert [found.status for found in attempts_of(event)] == [503, 200]

    run(scenario())


def test_a_caller_who_leaves_between_two_attempts_is_billed_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, answer_json(b"{}", 503, retry_after="5"), attempts=2, on_abort="cancel") as (
            gate,
            upstream,
        ):
            _, writer = await gate.begin(ASK)
            async with asyncio.timeout(5):
                while await gate.metric("faregate_gateway_attempts_repeated_total") < 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            writer.close()
            (event,) = await gate.plane.events_arrived(1)
            assert event.faregate is not None
            assert event.faregate.drawn == []
        assert gate.plane.accounts["sub_1"].outstanding() == 0
        assert len(upstream.requests) == 1

    run(scenario())
