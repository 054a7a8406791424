"""What an answer says of its own cost, on routes that say it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.gateway.control_plane import ControlPlane
from tests.gateway.running import ASK, gateway, run
from tests.gateway.scripted import DONE, answer_json, chunk, completion, scripted, stream, usage_chunk
from tests.gateway.whole import whole

NAMES = ("x-faregate-cost", "x-faregate-currency", "x-faregate-balance")


def told(headers: dict[str, str]) -> tuple[str | None, ...]:
    return tuple(headers.get(name) for name in NAMES)


def test_an_answer_says_what_it_cost_and_what_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            scripted(answer_json(completion(12, 40), x_faregate_cost="the upstream's own")) as upstream,
            whole(tmp_path, upstream.origin, answer_cost=True) as both,
        ):
            silent = 0
            for number in range(1, 21):
                answer = await both.gate.call(ASK)
                assert answer.status == 200
                if told(answer.headers) == (None, None, None):
                    # It did not come in time, as may be on a slow machine: then there is nothing, and it is counted.
                    silent += 1
                    continue
                # The first token opens a package of input at $0.50; output is $0.001 a token.
                left = 4_500 - 40 * number
                cost = "0.54" if number == 1 else "0.04"
                assert told(answer.headers) == (cost, "USD", f"{left // 1_000}.{left % 1_000 // 10:02}")
            assert silent < 20
            assert await both.gate.metric("faregate_gateway_costs_unknown_total") == silent

    run(scenario())


def test_parallel_answers_each_say_their_own_cost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            scripted(answer_json(completion(12, 40))) as upstream,
            whole(tmp_path, upstream.origin, answer_cost=True) as both,
        ):
            await both.gate.call(ASK)
            several = await asyncio.gather(*[both.gate.call(ASK) for _ in range(10)])
            assert {told(answer.headers)[:2] for answer in several} <= {("0.04", "USD"), (None, None)}

    run(scenario())


def test_a_postpaid_answer_has_a_cost_and_no_balance(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            scripted(answer_json(completion(12, 40))) as upstream,
            whole(
                tmp_path, upstream.origin, granted=None, pays="postpaid", answer_cost=True, on_abort="cancel"
            ) as both,
        ):
            found = [told((await both.gate.call(ASK)).headers) for _ in range(10)]
            assert set(found) <= {("0.54", "USD", None), ("0.04", "USD", None), (None, None, None)}
            assert found != [(None, None, None)] * 10

    run(scenario())


@pytest.mark.parametrize("answer_cost", [True, False])
def test_streams_errors_and_routes_that_do_not_say_it_have_none(tmp_path: Path, *, answer_cost: bool) -> None:
    async def scenario() -> None:
        events = stream(chunk("a"), usage_chunk(7, 2), DONE)
        scripts = [events, answer_json(b'{"error":{}}', status=429)] + [answer_json(completion())] * (not answer_cost)
        for script in scripts:
            async with scripted(script) as upstream:
                plane = ControlPlane()
                plane.seed(upstream.origin, route={"answer_cost": answer_cost})
                async with gateway(tmp_path, plane) as gate:
                    answer = await gate.call(ASK | {"stream": script is events})
                assert told(answer.headers) == (None, None, None)

    run(scenario())


def test_where_the_ledger_does_not_say_the_answer_goes_without(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route={"answer_cost": True})
            async with gateway(tmp_path, plane) as gate:
                # This control plane knows no such question.
                answer = await gate.call(ASK)
                assert (answer.status, told(answer.headers)) == (200, (None, None, None))
                assert await gate.metric("faregate_gateway_costs_unknown_total") == 1
                assert len(await plane.events_arrived(1)) == 1

    run(scenario())
