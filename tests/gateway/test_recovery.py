"""A gateway that is killed bills, at its next start, what it had begun: once, and nothing stays held."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from pyreqwest.client import ClientBuilder

from faregate.apps.gateway.spool_records import Kind, read_lines
from tests.gateway.control_plane import ControlPlane, free_port, serving
from tests.gateway.running import ASK, Running, gateway, ready, run, settings_for, until
from tests.gateway.scripted import DONE, STREAM_HEAD, Received, answer_json, chunk, completion, framed, scripted, stream
from tests.gateway.spoken import TEXTS, Spoken, every, is_estimated, tokens_of

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def gateway_process(
    folder: Path, plane: ControlPlane, url: str
) -> AsyncIterator[tuple[Running, asyncio.subprocess.Process]]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.gateway.process", str(folder), url, str(port), cwd=ROOT
    )
    client = ClientBuilder().no_proxy().build()
    running = Running(f"http://127.0.0.1:{port}", port, plane, client, settings_for(folder, url, port))
    try:
        await ready(running)
        yield running, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await client.close()


def test_a_killed_gateway_bills_its_running_stream_once_at_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        words = [chunk(f"w{number}") for number in range(200)]
        async with scripted(stream(*words, DONE, pause_s=0.02)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with serving(plane) as url:
                async with gateway_process(tmp_path, plane, url) as (gate, process):
                    calling = asyncio.create_task(gate.call(ASK | {"stream": True, "max_tokens": 500}))
                    await asyncio.sleep(2.0)  # past a checkpoint
                    process.kill()
                    await process.wait()
                    await asyncio.gather(calling, return_exceptions=True)
                assert not plane.events
                assert plane.accounts["sub_1"].outstanding() > 0
                async with gateway(tmp_path, plane, plane_url=url) as again:
                    (event,) = await plane.events_arrived(1)
                    await until(lambda: plane.releases[-1].epoch >= 2)
                    assert plane.accounts["sub_1"].outstanding() == 0
                    assert (await again.call(ASK, method="GET", path="/metrics")).status == 200
        assert event.response is not None
        assert event.faregate is not None
        usage = event.response.body["usage"]
        assert usage["prompt_tokens"] == 3
        assert 20 < usage["completion_tokens"] < 110
        assert event.faregate.estimated
        assert event.faregate.epoch == 1
        assert sum(drawn.units for drawn in event.faregate.drawn) == usage["total_tokens"]
        assert plane.epochs == {event.faregate.gateway_id: 2}
        assert [(release.epoch, release.through_sequence) for release in plane.releases] == [(1, 0), (2, 1)]

    run(scenario())


@every
def test_a_killed_stream_is_billed_in_its_dialects_own_fields(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        ask = spoken.ask | {"stream": True}

        async def begin(_: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + b"".join(map(framed, spoken.stream.events[:-2])))
            await writer.drain()
            await asyncio.sleep(30)

        async with scripted(begin) as upstream:
            plane = ControlPlane()
            spoken.seed(plane, upstream.origin, read_timeout_ms=30_000, total_timeout_ms=60_000)
            async with serving(plane) as url:
                async with gateway_process(tmp_path, plane, url) as (gate, process):
                    calling = asyncio.create_task(gate.call(ask))
                    await _checkpointed(tmp_path)
                    process.kill()
                    await process.wait()
                    await asyncio.gather(calling, return_exceptions=True)
                async with gateway(tmp_path, plane, plane_url=url):
                    (event,) = await plane.events_arrived(1)
            read, written = tokens_of(event) or (0, 0)
            assert plane.accounts["sub_1"].settled == {"prc_input": read, "prc_output": written}
        assert is_estimated(event)
        assert read == spoken.dialect.read_request(msgspec.json.encode(ask)).input_estimate()
        assert written >= len(TEXTS)
        assert event.response is not None
        assert {name: event.response.body["usage"][name] for name in spoken.names} == dict(
            zip(spoken.names, (read, written), strict=True)
        )

    run(scenario())


async def _checkpointed(folder: Path) -> None:
    """Wait until a stream's checkpoint is in the spool."""
    await until(lambda: Kind.CHECKPOINT in _kinds(folder), within_s=15)


def _kinds(folder: Path) -> set[str]:
    lines = [line for path in folder.glob("**/*.spool") for line in read_lines(path.read_bytes().rstrip(b"\0"))]
    return {line.kind for line in lines if line is not None}


def test_a_call_killed_before_the_upstreams_first_byte_is_billed_nothing(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def silent(_: Received, __: asyncio.StreamWriter) -> None:
            await asyncio.sleep(3)

        async with scripted(silent) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with serving(plane) as url:
                async with gateway_process(tmp_path, plane, url) as (gate, process):
                    calling = asyncio.create_task(gate.call(ASK | {"stream": True}))
                    await until(lambda: upstream.requests)
                    process.kill()
                    await process.wait()
                    await asyncio.gather(calling, return_exceptions=True)
                async with gateway(tmp_path, plane, plane_url=url):
                    (event,) = await plane.events_arrived(1)
        assert event.response is not None
        assert event.faregate is not None
        assert (event.response.status, event.faregate.drawn, event.faregate.estimated) == (502, [], False)
        assert plane.accounts["sub_1"].settled.get("prc_output", 0) == 0

    run(scenario())


def test_answers_given_before_a_kill_are_billed_once_whatever_was_shipped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(2, 3))) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with serving(plane) as url:
                answered = 0
                for _ in range(3):
                    async with gateway_process(tmp_path, plane, url) as (gate, process):
                        for _ in range(5):
                            assert (await gate.call(ASK)).status == 200
                            answered += 1
                        plane.failing = True
                        for _ in range(2):
                            answered += (await gate.call(ASK)).status == 200
                        process.kill()
                        await process.wait()
                    plane.failing = False
                async with gateway(tmp_path, plane, plane_url=url):
                    await plane.events_arrived(answered)
                    await asyncio.sleep(0.2)
        assert len(plane.events) == answered
        assert plane.conflicts == 0
        assert sorted(plane.sequences) == list(range(1, answered + 1))
        assert plane.accounts["sub_1"].settled == {"prc_input": 2 * answered, "prc_output": 3 * answered}
        assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


def test_a_terminated_process_ends_cleanly_with_everything_shipped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(2, 3))) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with serving(plane) as url, gateway_process(tmp_path, plane, url) as (gate, process):
                assert (await gate.call(ASK)).status == 200
                process.terminate()
                assert await asyncio.wait_for(process.wait(), 10) == 0
        assert len(plane.events) == 1
        assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


def test_an_open_stream_survives_nothing_but_its_head_when_the_process_dies_early(tmp_path: Path) -> None:
    async def scenario() -> None:
        async def script(_: Received, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + framed(chunk("one")))
            await writer.drain()
            await asyncio.sleep(3)

        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with serving(plane) as url:
                async with gateway_process(tmp_path, plane, url) as (gate, process):
                    calling = asyncio.create_task(gate.call(ASK | {"stream": True}))
                    await until(lambda: upstream.requests)
                    await asyncio.sleep(0.1)
                    process.kill()
                    await process.wait()
                    await asyncio.gather(calling, return_exceptions=True)
                async with gateway(tmp_path, plane, plane_url=url):
                    (event,) = await plane.events_arrived(1)
        assert event.response is not None
        usage = event.response.body["usage"]
        assert usage == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}

    run(scenario())
