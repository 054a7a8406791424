"""A call that costs more than is left: its output is limited to what is left, or it is refused, as its route says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.running import ASK, run
from tests.gateway.scripted import answer_json, completion, stream
from tests.gateway.spoken import CENT, CHAT, Spoken, every

CLAMPED = "x-faregate-clamped-output"


@every
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
def test_output_is_limited_to_what_is_left_the_answer_says_so_and_the_balance_ends_at_zero(
    tmp_path: Path, spoken: Spoken, *, streams: bool
) -> None:
    async def scenario() -> None:
        # Seventeen tokens are what the dialects' answers come to.
        script = stream(*spoken.stream.events) if streams else answer_json(spoken.body)
        async with spoken.serve(tmp_path, script, tokens=17, least_output_tokens=17) as (gate, upstream):
            answer = await gate.call(spoken.ask | {spoken.limit: 5_000, "stream": streams})
            assert (answer.status, answer.headers[CLAMPED]) == (200, "17")
            await gate.plane.events_arrived(1)
            assert (await gate.call(spoken.ask)).status == 402
        account = gate.plane.accounts["sub_1"]
        assert (account.granted - account.debited(), account.outstanding()) == (0, 0)
        assert [request.json[spoken.limit] for request in upstream.requests] == [17]

    run(scenario())


@every
def test_a_limit_is_never_lowered_below_the_routes_floor(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        async with spoken.serve(tmp_path, answer_json(spoken.body), tokens=255) as (gate, upstream):
            assert (await gate.call(spoken.ask | {spoken.limit: 5_000})).status == 402
            gate.plane.grant("sub_1", CENT)
            answer = await gate.call(spoken.ask | {spoken.limit: 5_000})
            assert (answer.status, answer.headers[CLAMPED]) == (200, "256")
        assert [request.json[spoken.limit] for request in upstream.requests] == [256]

    run(scenario())


def test_what_is_left_is_shared_by_all_choices_and_the_answer_says_the_limit_of_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, answer_json(completion(3, 5)), tokens=901, least_output_tokens=100) as (
            gate,
            upstream,
        ):
            answer = await gate.call(ASK | {"max_tokens": 500, "n": 3})
            assert answer.headers[CLAMPED] == "300"
        assert upstream.requests[0].json["max_tokens"] == 300

    run(scenario())


def test_a_call_that_fits_says_nothing_of_a_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, answer_json(completion(3, 5)), tokens=300) as (gate, _):
            assert CLAMPED not in (await gate.call(ASK | {"max_tokens": 300})).headers

    run(scenario())


def test_a_route_that_refuses_near_zero_never_lowers_a_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with CHAT.serve(tmp_path, answer_json(completion(3, 300)), tokens=300, near_zero="refuse") as (
            gate,
            upstream,
        ):
            assert (await gate.call(ASK | {"max_tokens": 301})).status == 402
            answer = await gate.call(ASK | {"max_tokens": 300})
            assert (answer.status, CLAMPED in answer.headers) == (200, False)
            await gate.plane.events_arrived(2)
        account = gate.plane.accounts["sub_1"]
        assert (account.granted - account.debited(), account.outstanding()) == (0, 0)
        assert [request.json["max_tokens"] for request in upstream.requests] == [300]

    run(scenario())
