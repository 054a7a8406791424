"""A stream that holds credit as it goes: it runs while there is credit, and never on credit that is not there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from faregate.wire.event import WireEvent
from faregate.wire.gateway_protocol import WhenCreditEnds
from tests.gateway.control_plane import ControlPlane, serving
from tests.gateway.running import ASK, Answer, gateway, run, until
from tests.gateway.scripted import DONE, STREAM_HEAD, Received, Script, chunk, framed, scripted, stream, usage_chunk
from tests.gateway.spoken import CENT, CHAT, Spoken, providers
from tests.gateway.test_recovery import gateway_process
from tests.support.dialect_streams import sample_of

STREAM = ASK | {"stream": True, "max_tokens": 600}
SLICE = 64
SLICES = {"hold_output_tokens": SLICE, "least_output_tokens": SLICE}


def counting(tokens: int, sent: list[int] | None = None, *, pause_s: float = 0.004) -> Script:
    """Stream so many tokens, one a chunk, and their usage; `sent` keeps how many of each stream were written."""
    counts: list[int] = [] if sent is None else sent

    async def script(request: Received, writer: asyncio.StreamWriter) -> None:
        place = len(counts)
        counts.append(0)
        writer.write(STREAM_HEAD)
        for _ in range(tokens):
            writer.write(framed(chunk("word")))
            await writer.drain()
            counts[place] += 1
            await asyncio.sleep(pause_s)
        writer.write(framed(usage_chunk(3, tokens)) + framed(DONE) + b"0\r\n\r\n")

    return script


def output_of(event: WireEvent) -> int:
    assert event.response is not None
    return event.response.body["usage"]["completion_tokens"]  # type: ignore[no-any-return]


def drawn_by(event: WireEvent) -> int:
    assert event.faregate is not None
    return sum(drawn.units for drawn in event.faregate.drawn)


def is_complete(answer: Answer) -> bool:
    return answer.body.endswith(DONE)


def has_ended_for_credit(answer: Answer) -> bool:
    *_, last, rest = answer.body.split(b"\n\n")
    return rest == b"" and last.startswith(b"data: {") and b'"code":"credit_balance_exhausted"' in last


def test_a_stream_that_holds_as_it_goes_runs_to_its_end_and_is_billed_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, counting(300), tokens=1_000, **SLICES) as (gate, upstream):
            answer = await gate.call(STREAM)
            assert is_complete(answer)
            assert answer.body.count(b'"content"') == 300
            (event,) = await gate.plane.events_arrived(1)
            assert await gate.metric("faregate_gateway_overspend_calls_above_hold_total") == 0
        assert (output_of(event), drawn_by(event)) == (300, 300)
        assert gate.plane.accounts["sub_1"].outstanding() == 0
        # It began with a part of its bound, while the upstream's limit is the caller's own.
        assert gate.plane.lease_requests[0].units[0].call == SLICE
        assert upstream.requests[0].json["max_tokens"] == 600
        assert "x-faregate-clamped-output" not in answer.headers

    run(scenario())


def test_a_stream_whose_credit_ends_ends_with_an_error_event_and_is_billed_what_it_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, counting(600), tokens=150, **SLICES) as (gate, upstream):
            answer = await gate.call(STREAM)
            assert (answer.status, has_ended_for_credit(answer)) == (200, True)
            (event,) = await gate.plane.events_arrived(1)
            assert await gate.metric("faregate_gateway_streams_ended_total") == 1
            assert await gate.metric("faregate_gateway_overspend_calls_above_hold_total") == 0
        account = gate.plane.accounts["sub_1"]
        assert event.faregate is not None
        assert (event.faregate.estimated, event.faregate.credit_ended) == (True, WhenCreditEnds.END)
        # All but what may have been on its way was used.
        assert 110 <= answer.body.count(b'"content"') <= output_of(event) == drawn_by(event) <= 150
        assert account.outstanding() == 0
        assert account.granted - account.debited() == (150 - output_of(event)) * CENT
        assert upstream.cut == 1

    run(scenario())


@providers
def test_the_end_of_credit_is_an_error_event_in_the_words_of_the_dialect(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        events = sample_of(spoken.dialect, ["word"] * 300).events
        async with spoken.serve(tmp_path, stream(*events, pause_s=0.004), tokens=150, **SLICES) as (gate, _):
            answer = await gate.call(spoken.ask | {"stream": True, spoken.limit: 600})
            (event,) = await gate.plane.events_arrived(1)
        passed, _, last = answer.body.removesuffix(b"\n\n").rpartition(b"\n\n")
        # What came before is whole events of the upstream, to the byte.
        assert b"".join(events).replace(events[-1], b"").startswith(passed)
        assert b"credit_balance_exhausted" in last
        assert last.startswith(b"data: " if spoken is CHAT else b"event: error\ndata: ")
        account = gate.plane.accounts["sub_1"]
        assert 110 * CENT <= account.debited() == drawn_by(event) * CENT <= account.granted
        assert account.outstanding() == 0

    run(scenario())


def test_several_streams_on_one_balance_never_spend_more_than_there_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, counting(600), tokens=1_200, **SLICES) as (gate, _):
            answers = await asyncio.gather(*(gate.call(STREAM) for _ in range(6)))
            events = await gate.plane.events_arrived(6)
            assert {answer.status for answer in answers} == {200}
            assert all(is_complete(answer) or has_ended_for_credit(answer) for answer in answers)
            assert any(has_ended_for_credit(answer) for answer in answers)
        account = gate.plane.accounts["sub_1"]
        assert account.outstanding() == 0
        used = sum(output_of(event) for event in events)
        assert used * CENT == account.debited() <= account.granted
        assert used >= 1_000
        # What each caller got was paid for.
        passed = sum(answer.body.count(b'"content"') for answer in answers)
        assert passed <= used

    run(scenario())


def test_credit_that_comes_while_a_stream_runs_lets_it_go_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        sent: list[int] = []
        async with CHAT.serve(tmp_path, counting(300, sent), tokens=140, **SLICES) as (gate, _):
            calling = asyncio.create_task(gate.call(STREAM))
            await until(lambda: sent and sent[0] >= 80)
            gate.plane.grant("sub_1", 300 * CENT)
            assert is_complete(await calling)
            (event,) = await gate.plane.events_arrived(1)
        assert (output_of(event), drawn_by(event)) == (300, 300)

    run(scenario())


def test_a_stream_that_its_route_lets_finish_goes_below_zero_and_is_counted_as_overspend(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, counting(300), tokens=150, when_credit_ends="finish", **SLICES) as (
            gate,
            _,
        ):
            assert is_complete(await gate.call(STREAM))
            (event,) = await gate.plane.events_arrived(1)
            assert await gate.metric("faregate_gateway_overspend_streams_finished_total") == 1
            assert await gate.metric("faregate_gateway_overspend_finished_units_total") == 150
            assert await gate.metric("faregate_gateway_overspend_uncovered_units_total") == 0
        assert event.faregate is not None
        assert event.faregate.credit_ended is WhenCreditEnds.FINISH
        assert (output_of(event), drawn_by(event)) == (300, 150)
        assert gate.plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


def test_a_stream_without_credit_ends_where_its_routes_overdraft_does(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(
            tmp_path, counting(600), tokens=150, when_credit_ends="finish", overdraft_output_tokens=40, **SLICES
        ) as (gate, _):
            assert has_ended_for_credit(await gate.call(STREAM))
            (event,) = await gate.plane.events_arrived(1)
        assert output_of(event) == 190
        account = gate.plane.accounts["sub_1"]
        assert (account.granted - account.debited(), account.outstanding()) == (-40 * CENT, 0)

    run(scenario())


def test_a_stream_that_no_more_credit_can_be_asked_for_ends(tmp_path: Path) -> None:
    async def scenario() -> None:
        sent: list[int] = []
        async with CHAT.serve(tmp_path, counting(600, sent), tokens=1_000, **SLICES) as (gate, _):
            calling = asyncio.create_task(gate.call(STREAM))
            await until(lambda: sent and sent[0] >= 20)
            gate.plane.failing = True
            answer = await calling
            gate.plane.failing = False
            assert b'"code":"credit_unavailable"' in answer.body.rpartition(b"data: ")[2]
            (event,) = await gate.plane.events_arrived(1, within_s=10.0)
        assert output_of(event) == drawn_by(event)

    run(scenario())


def test_a_stream_read_on_for_a_caller_who_left_ends_with_its_credit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, counting(600), tokens=150, **SLICES) as (gate, _):
            reader, writer = await gate.begin(STREAM)
            await reader.read(300)
            writer.close()
            (event,) = await gate.plane.events_arrived(1)
        assert 110 <= output_of(event) == drawn_by(event) <= 150
        assert gate.plane.accounts["sub_1"].outstanding() == 0

    run(scenario())


def test_a_gateway_killed_in_an_extended_stream_bills_it_once_and_frees_what_it_had_added(tmp_path: Path) -> None:
    async def scenario() -> None:
        sent: list[int] = []
        async with scripted(counting(600, sent, pause_s=0.006)) as upstream:
            plane = ControlPlane()
            CHAT.sell_output(plane, upstream.origin, tokens=1_000, **SLICES)
            async with serving(plane) as url:
                async with gateway_process(tmp_path, plane, url) as (gate, process):
                    calling = asyncio.create_task(gate.call(STREAM))
                    await until(lambda: sent and sent[0] >= 300, within_s=20)
                    process.kill()
                    await process.wait()
                    await asyncio.gather(calling, return_exceptions=True)
                assert not plane.events
                assert plane.accounts["sub_1"].outstanding() > 2 * SLICE
                async with gateway(tmp_path, plane, plane_url=url):
                    (event,) = await plane.events_arrived(1)
                    await until(lambda: plane.releases[-1].epoch >= 2)
            assert len(plane.events) == 1
            # More than the start alone held is drawn: the extensions are on record.
            assert 2 * SLICE < output_of(event) == drawn_by(event) <= sent[0]
            assert plane.accounts["sub_1"].outstanding() == 0

    run(scenario())
