"""However a call ends, it is settled once: caller gone, upstream broken, slow or away, gateway stopping."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from pathlib import Path

import msgspec
import pytest

from faregate.apps.gateway.spool_records import read_lines
from faregate.base.limits import MAX_USAGE_EVENT_BYTES
from faregate.wire.event import WireEvent
from tests.gateway.control_plane import ControlPlane, free_port
from tests.gateway.running import ASK, Running, gateway, run
from tests.gateway.scripted import (
    DONE,
    STREAM_HEAD,
    Received,
    answer_json,
    chunk,
    completion,
    framed,
    scripted,
    stream,
    usage_chunk,
)

STREAM = ASK | {"stream": True}
WORDS = [chunk(f"word{number} ") for number in range(8)]


def usage_of(event: WireEvent) -> dict[str, int] | None:
    assert event.response is not None
    body = event.response.body
    return None if body is None else body.get("usage")


async def leave(gate: Running, body: dict[str, object], *, after_bytes: int, how: str) -> None:
    """Call with a raw socket and vanish once so many bytes of the answer have come."""
    reader, writer = await gate.begin(body)
    if after_bytes:
        seen = b""
        while b"\r\n\r\n" not in seen or len(seen.partition(b"\r\n\r\n")[2]) < after_bytes:
            seen += await reader.read(64)
    else:
        await asyncio.sleep(0.03)
    if how == "reset":
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif how == "half-close":
        writer.write_eof()
        await asyncio.sleep(0.3)
        writer.close()
    else:
        writer.close()


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("after_bytes", [0, 1, 300, 900, 1_300])
def test_a_caller_who_leaves_a_draining_route_is_billed_the_real_usage_once(
    tmp_path: Path, how: str, after_bytes: int
) -> None:
    async def scenario() -> None:
        async with scripted(stream(*WORDS, usage_chunk(11, 8), DONE, pause_s=0.015)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                await leave(gate, STREAM, after_bytes=after_bytes, how=how)
                (event,) = await plane.events_arrived(1)
                assert usage_of(event) == {"prompt_tokens": 11, "completion_tokens": 8, "total_tokens": 19}
                assert event.faregate is not None
                assert not event.faregate.estimated
            assert len(plane.events) == 1
            assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


@pytest.mark.parametrize("after_bytes", [300, 900])
def test_a_caller_who_leaves_a_cancelling_route_is_billed_what_was_seen(tmp_path: Path, after_bytes: int) -> None:
    async def scenario() -> None:
        # After the words the upstream falls silent: that the caller has gone must be noticed without another byte.
        async def script(_: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + b"".join(framed(word) for word in WORDS))
            await writer.drain()
            await asyncio.sleep(1.5)
            writer.write(framed(usage_chunk(11, 8)) + framed(DONE) + b"0\r\n\r\n")

        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route={"on_abort": "cancel"})
            async with gateway(tmp_path, plane) as gate:
                await leave(gate, STREAM, after_bytes=after_bytes, how="close")
                (event,) = await plane.events_arrived(1, within_s=1.0)
                assert event.faregate is not None
                assert event.faregate.estimated
                usage = usage_of(event)
                assert usage is not None
                assert usage["prompt_tokens"] == 3
                # At least what the caller had seen (154 bytes a word), at most what the upstream had sent.
                assert -(-6 * (after_bytes // 200) // 4) <= usage["completion_tokens"] <= 12
            assert len(plane.events) == 1
            assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


def test_a_caller_who_leaves_a_cancelling_route_before_the_answer_begins_is_billed_the_input(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def script(_: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.3)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(5)

        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route={"on_abort": "cancel"})
            async with gateway(tmp_path, plane) as gate:
                await leave(gate, ASK | {"stream": True}, after_bytes=0, how="close")
                (event,) = await plane.events_arrived(1, within_s=3)
                assert event.response is not None
                usage = usage_of(event)
                assert (event.response.status, usage is not None and usage["completion_tokens"]) == (200, 0)
                assert usage is not None
                assert usage["prompt_tokens"] > 0
                assert event.faregate is not None
                assert event.faregate.estimated

    run(scenario())


def test_a_caller_who_leaves_a_json_answer_is_billed_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def script(request: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.1)
            await answer_json(completion(5, 6))(request, writer)

        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                await leave(gate, ASK, after_bytes=0, how="close")
                (event,) = await plane.events_arrived(1)
                assert usage_of(event) == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}

    run(scenario())


def test_a_caller_who_closes_right_after_done_is_billed_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        events = [*WORDS, usage_chunk(11, 8), DONE]
        async with scripted(stream(*events)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                reader, writer = await gate.begin(STREAM)
                await reader.readuntil(b"[DONE]\n\n")
                writer.transport.abort()
                (event,) = await plane.events_arrived(1)
                assert usage_of(event) == {"prompt_tokens": 11, "completion_tokens": 8, "total_tokens": 19}
            assert len(plane.events) == 1

    run(scenario())


def test_an_upstream_that_breaks_in_mid_stream_is_billed_as_far_as_it_came(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(stream(*WORDS[:3], end=False)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(STREAM)
                (event,) = await plane.events_arrived(1)
        assert answer.body.startswith(b"".join(WORDS[:3]))
        assert b'"code":"upstream_unavailable"' in answer.body
        assert b"[DONE]" not in answer.body
        assert usage_of(event) == {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        assert event.faregate is not None
        assert event.faregate.estimated

    run(scenario())


def test_without_any_usage_the_answer_is_estimated_from_its_text(tmp_path: Path) -> None:
    async def scenario() -> None:
        body = b'{"id":"c","choices":[{"message":{"content":"%b"}}]}' % (b"x" * 41)
        async with scripted(answer_json(body)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK)).body == body
                (event,) = await plane.events_arrived(1)
        assert usage_of(event) == {"prompt_tokens": 3, "completion_tokens": 11, "total_tokens": 14}
        assert event.faregate is not None
        assert event.faregate.estimated

    run(scenario())


def records_in(folder: Path) -> list[object]:
    return [record for path in folder.glob("**/*.spool") for record in read_lines(path.read_bytes().rstrip(b"\0"))]


def test_a_usage_spread_over_lines_leaves_an_event_of_one_line(tmp_path: Path) -> None:
    async def scenario() -> None:
        body = json.dumps(json.loads(completion(4, 2)), indent=2).encode()
        body = body.replace(
            b'"total_tokens"', b'"prompt_tokens_details": {\n      "cached_tokens": 1.50\n    },\n"total_tokens"'
        )
        async with scripted(answer_json(body)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK)).body == body
                (event,) = await plane.events_arrived(1)
        assert None not in records_in(tmp_path)
        assert event.response is not None
        assert event.response.body["usage"]["prompt_tokens_details"] == {"cached_tokens": 1.5}

    run(scenario())


@pytest.mark.parametrize("length_said", [True, False])
def test_an_answer_too_long_to_be_held_back_is_502_and_not_billed(tmp_path: Path, *, length_said: bool) -> None:
    async def scenario() -> None:
        body = b'{"id":"%b"}' % (b"x" * MAX_USAGE_EVENT_BYTES)

        async def chunked(_: Received, writer: asyncio.StreamWriter) -> None:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
            writer.write(head + framed(body) + b"0\r\n\r\n")

        async with scripted(answer_json(body) if length_said else chunked) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK)).status == 502
                (event,) = await plane.events_arrived(1)
            assert plane.accounts["sub_1"].outstanding() == 0
        assert event.faregate is not None
        assert not event.faregate.drawn

    run(scenario())


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 1 << 20])
def test_a_long_answer_arrives_whole(tmp_path: Path, size: int) -> None:
    async def scenario() -> None:
        body = completion(3, 4, "x" * size)
        async with scripted(answer_json(body)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK)).body == body
                (event,) = await plane.events_arrived(1)
        assert usage_of(event) == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}

    run(scenario())


def test_a_reported_zero_is_not_replaced_by_an_estimate(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(0, 0, "some text"))) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                await gate.call(ASK)
                (event,) = await plane.events_arrived(1)
        assert usage_of(event) == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        assert event.faregate is not None
        assert not event.faregate.estimated

    run(scenario())


def test_an_upstreams_own_error_passes_and_is_not_billed(tmp_path: Path) -> None:
    async def scenario() -> None:
        body = b'{"error":{"message":"busy","type":"server_error","param":null,"code":"overloaded"}}'
        async with scripted(answer_json(body, 429, retry_after="7")) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                for request in (ASK, STREAM):
                    answer = await gate.call(request)
                    assert (answer.status, answer.body, answer.headers["retry-after"]) == (429, body, "7")
                events = await plane.events_arrived(2)
                assert all(event.faregate is not None and not event.faregate.drawn for event in events)
            assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


@pytest.mark.parametrize("body", [ASK, STREAM])
def test_an_unreachable_upstream_is_502_and_bills_nothing(tmp_path: Path, body: dict[str, object]) -> None:
    async def scenario() -> None:
        plane = ControlPlane()
        plane.seed(f"http://127.0.0.1:{free_port()}/v1")
        async with gateway(tmp_path, plane) as gate:
            answer = await gate.call(body)
            (event,) = await plane.events_arrived(1)
        assert (answer.status, answer.error["code"], answer.error["type"]) == (
            502,
            "upstream_unavailable",
            "server_error",
        )
        assert event.response is not None
        assert (event.response.status, usage_of(event)) == (502, None)
        assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


@pytest.mark.parametrize("body", [ASK, STREAM])
def test_an_upstream_that_does_not_answer_in_time_is_504(tmp_path: Path, body: dict[str, object]) -> None:
    async def scenario() -> None:
        async def silent(_: Received, __: asyncio.StreamWriter) -> None:
            await asyncio.sleep(5)

        async with scripted(silent) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route={"read_timeout_ms": 200, "total_timeout_ms": 400})
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(body)
                (event,) = await plane.events_arrived(1)
        assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")
        assert event.response is not None
        assert event.response.status == 504
        assert len(upstream.requests) == 1

    run(scenario())


def test_a_stopping_gateway_finishes_what_runs_and_gives_its_units_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(stream(*WORDS, usage_chunk(11, 8), DONE, pause_s=0.05)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                calling = asyncio.create_task(gate.call(STREAM))
                await asyncio.sleep(0.15)
            answer = await calling
            assert answer.body == b"".join([*WORDS, DONE])
            assert plane.accounts["sub_1"].settled == {"prc_input": 11, "prc_output": 8}
            assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


def test_a_stream_that_outlives_the_stop_is_cut_and_billed_as_far_as_it_came(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(stream(*(WORDS * 50), pause_s=0.05)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane, stop_within_s=0.3) as gate:
                calling = asyncio.create_task(gate.call(STREAM))
                await asyncio.sleep(0.3)
            answer = await calling
            assert b'"code":"upstream_unavailable"' in answer.body
            (event,) = plane.events
            assert event.faregate is not None
            assert event.faregate.estimated
            assert plane.accounts["sub_1"].settled["prc_output"] > 5
            assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


def test_the_first_chunk_is_not_held_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        sent_at_s: list[float] = []
        loop = asyncio.get_running_loop()

        async def script(_: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD)
            for word in WORDS:
                await asyncio.sleep(0.03)
                sent_at_s.append(loop.time())
                writer.write(framed(word))
                await writer.drain()
            writer.write(framed(DONE) + b"0\r\n\r\n")

        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                seen_at_s = []
                request = gate.client.post(gate.origin + "/ai/chat").header("x-api-key", "key-1")
                request = request.body_bytes(msgspec.json.encode(STREAM)).streamed_read_buffer_limit(0)
                async with request.build_streamed() as response:
                    while await response.body_reader.read_chunk() is not None:
                        seen_at_s.append(loop.time())
        delays_s = sorted(seen - sent for sent, seen in zip(sent_at_s, seen_at_s, strict=False))
        assert len(seen_at_s) >= len(WORDS)
        assert delays_s[len(delays_s) // 2] < 0.005

    run(scenario())
