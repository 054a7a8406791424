"""Routes without a dialect pass everything through, and still identify, decide and write the event."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path

import pytest

from tests.gateway.control_plane import ControlPlane, free_port
from tests.gateway.running import KEY, gateway, run
from tests.gateway.scripted import STREAM_HEAD, Received, answer_json, completion, framed, scripted

PLAIN: dict[str, object] = {"dialect": "none", "enforce": "none"}


def test_bodies_of_both_ways_are_streamed_unchanged(tmp_path: Path) -> None:
    async def scenario() -> None:
        sent = bytes(range(256)) * 2_000

        async def script(request: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 201 X\r\ncontent-type: application/x\r\ncontent-length: %d\r\n\r\n" % len(request.body)
            )
            writer.write(request.body)

        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route=PLAIN)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(sent, path="/ai/chat/a%20b/c?x=1", method="PUT")
                (event,) = await plane.events_arrived(1)
        assert (answer.status, answer.body) == (201, sent)
        assert answer.headers["content-length"] == str(len(sent))
        assert (upstream.requests[0].method, upstream.requests[0].target) == ("PUT", "/v1/a%20b/c?x=1")
        assert event.response is not None
        assert (event.request.verb, event.response.status) == ("PUT", 201)

    run(scenario())


def test_a_compressed_answer_stays_compressed_and_a_metered_one_is_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        packed = gzip.compress(completion(3, 4))
        async with scripted(answer_json(packed, content_encoding="gzip")) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route=PLAIN)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(b"{}", headers=KEY | {"accept-encoding": "gzip"})
                assert (answer.body, answer.headers["content-encoding"]) == (packed, "gzip")
                assert upstream.requests[0].header("accept-encoding") == "gzip"
                plane.seed(upstream.origin)
                await asyncio.sleep(0.1)
                metered = await gate.call({"messages": []}, headers=KEY | {"accept-encoding": "gzip"})
                assert metered.body == completion(3, 4)
                events = await plane.events_arrived(2)
        assert events[1].response is not None
        assert events[1].response.body["usage"]["completion_tokens"] == 4

    run(scenario())


@pytest.mark.parametrize(("method", "head"), [("HEAD", b"200 OK"), ("GET", b"204 No"), ("GET", b"304 Not")])
def test_answers_without_a_body_have_none(tmp_path: Path, method: str, head: bytes) -> None:
    async def scenario() -> None:
        async def script(_: Received, writer: asyncio.StreamWriter) -> None:
            length = b"content-length: 9\r\n" if method == "HEAD" else b""
            writer.write(b"HTTP/1.1 " + head + b"\r\n" + length + b"etag: x\r\n\r\n")

        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route=PLAIN)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(method=method)
                again = await gate.call(method=method)
        assert answer.status == again.status == int(head[:3])
        assert (answer.body, answer.headers["etag"]) == (b"", "x")

    run(scenario())


def test_an_answer_without_a_length_that_breaks_is_billed_nothing_but_seen(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def script(_: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + framed(b"data: x\n\n"))
            await writer.drain()
            raise ConnectionResetError

        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route=PLAIN)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(method="GET")).body == b"data: x\n\n"
                (event,) = await plane.events_arrived(1)
        assert event.response is not None
        assert event.response.status == 200

    run(scenario())


def test_an_unreachable_upstream_is_502(tmp_path: Path) -> None:
    async def scenario() -> None:
        plane = ControlPlane()
        plane.seed(f"http://127.0.0.1:{free_port()}/v1", route=PLAIN)
        async with gateway(tmp_path, plane) as gate:
            assert (await gate.call(b"x")).status == 502
            assert (await gate.call(method="GET")).status == 502

    run(scenario())
