"""Limits at the gateway: who is over one is refused before anything is done, and told when to come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from faregate.wire.limit_protocol import LimitBlockState, LimitState
from tests.gateway.control_plane import ControlPlane, serving
from tests.gateway.running import ASK, Answer, Running, gateway, run
from tests.gateway.scripted import Script, ScriptedUpstream, answer_json, completion, framed, scripted, stream
from tests.gateway.scripted import usage_chunk as usage

KEY_2 = {"authorization": "Bearer key-2"}


def limit(**changes: object) -> LimitState:
    fields: dict[str, object] = {
        "limit_id": "lim_1",
        "application_id": "app_1",
        "name": "Per minute",
        "subject": "company",
        "subject_id": None,
        "plan_id": None,
        "measure": "requests",
        "amount": 3,
        "routes": [],
    }
    return msgspec.convert(fields | changes, LimitState)


def used_up(**changes: object) -> LimitBlockState:
    fields: dict[str, object] = {
        "limit_id": "lim_1",
        "application_id": "app_1",
        "name": "Monthly",
        "subject": "company",
        "subject_id": "acme",
        "company_id": "acme",
        "measure": "spend",
        "amount": "20",
        "currency": "USD",
        "per": "month",
        "routes": [],
        "from_at": datetime.now(UTC) - timedelta(days=1),
        "until_at": datetime.now(UTC) + timedelta(hours=1),
    }
    return msgspec.convert(fields | changes, LimitBlockState)


@asynccontextmanager
async def at(
    folder: Path, script: Script, prepare: Callable[[ControlPlane], None], **route: object
) -> AsyncIterator[tuple[Running, ScriptedUpstream]]:
    async with scripted(script) as upstream:
        plane = ControlPlane()
        plane.seed(upstream.origin, route=route)
        prepare(plane)
        async with gateway(folder, plane) as gate:
            yield gate, upstream


def told(answer: Answer, measure: str) -> tuple[str | None, ...]:
    names = (f"x-ratelimit-{part}-{measure}" for part in ("limit", "remaining", "reset"))
    return tuple(answer.headers.get(name) for name in names)


def test_requests_beyond_the_limit_are_refused_with_the_standard_headers(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit", "lim_1", limit())

        async with at(tmp_path, answer_json(completion()), prepare) as (gate, upstream):
            answers = [await gate.call(ASK) for _ in range(5)]
            events = await gate.plane.events_arrived(3)
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert [told(answer, "requests")[:2] for answer in answers] == [
            ("3", "2"),
            ("3", "1"),
            ("3", "0"),
            ("3", "0"),
            ("3", "0"),
        ]
        refused = answers[-1]
        assert refused.error["type"] == "requests"
        assert refused.error["code"] == "rate_limit_exceeded"
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert told(answers[0], "tokens") == (None, None, None)
        assert len(upstream.requests) == len(events) == 3

    run(scenario())


def test_parallel_calls_are_never_more_than_the_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit", "lim_1", limit(amount=10))

        async with at(tmp_path, answer_json(completion()), prepare) as (gate, _):
            answers = await asyncio.gather(*(gate.call(ASK) for _ in range(50)))
        statuses = [answer.status for answer in answers]
        assert (statuses.count(200), statuses.count(429)) == (10, 40)

    run(scenario())


def test_two_gateways_share_a_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            plane.put("limit", "lim_1", limit(amount=10))
            async with (
                serving(plane) as url,
                gateway(tmp_path / "a", plane, plane_url=url) as first,
                gateway(tmp_path / "b", plane, plane_url=url) as second,
            ):
                both = [gate.call(ASK) for _ in range(20) for gate in (first, second)]
                answers = await asyncio.gather(*both)
                assert sum(answer.status == 200 for answer in answers) <= 10
                # Neither had what the other one asked for at the same moment; it is there for who asks again.
                async with asyncio.timeout(10):
                    while len(upstream.requests) < 10:
                        await first.call(ASK)
                        await second.call(ASK)
                for gate in (first, second):
                    assert (await gate.call(ASK)).status == 429
        assert len(upstream.requests) == 10

    run(scenario())


def test_who_has_no_limit_is_told_of_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.add_key("key-2", "other")
            plane.put("limit", "lim_1", limit(subject="key", subject_id="key_key-1", amount=1))
            plane.put("limit", "lim_2", limit(limit_id="lim_2", plan_id="pln_9", amount=1))
            plane.put("limit", "lim_3", limit(limit_id="lim_3", routes=["/other"], amount=1))

        async with at(tmp_path, answer_json(completion()), prepare) as (gate, _):
            mine = [await gate.call(ASK) for _ in range(2)]
            others = [await gate.call(ASK, headers=KEY_2) for _ in range(2)]
        assert [answer.status for answer in mine] == [200, 429]
        assert [answer.status for answer in others] == [200, 200]
        assert told(others[0], "requests") == (None, None, None)

    run(scenario())


def test_tokens_are_taken_before_the_call_and_corrected_after_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit", "lim_1", limit(measure="tokens", amount=1_000))

        async with at(tmp_path, answer_json(completion(12, 40)), prepare) as (gate, _):
            first = await gate.call(ASK | {"max_tokens": 900})
            second = await gate.call(ASK | {"max_tokens": 900})
            third = await gate.call(ASK | {"max_tokens": 800})
        assert told(first, "tokens")[:2] == ("1000", "948")
        assert (second.status, second.error["type"]) == (429, "tokens")
        assert third.status == 200
        assert told(third, "tokens")[1] == "896"

    run(scenario())


def test_a_stream_is_counted_as_a_whole_answer_is(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit", "lim_1", limit(measure="tokens", amount=2_000))

        script = stream(framed(usage(12, 40)))
        async with at(tmp_path, script, prepare) as (gate, _):
            streamed = await gate.call(ASK | {"stream": True})
            after = await gate.call(ASK | {"stream": True})
        assert streamed.status == 200
        assert told(after, "tokens")[0] == "2000"
        assert int(told(after, "tokens")[1] or 0) < 2_000 - 52

    run(scenario())


def test_a_call_that_can_never_fit_is_refused_for_good(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit", "lim_1", limit(measure="tokens", amount=500))

        async with at(tmp_path, answer_json(completion()), prepare) as (gate, _):
            large = await gate.call(ASK | {"max_tokens": 600})
            open_ended = {name: value for name, value in ASK.items() if name != "max_tokens"}
            fitting = await gate.call(open_ended)
        assert (large.status, large.error["code"]) == (429, "rate_limit_exceeded")
        assert large.headers["x-should-retry"] == "false"
        assert "retry-after" not in large.headers
        assert fitting.status == 200

    run(scenario())


def test_a_call_that_was_not_made_used_no_tokens(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit", "lim_1", limit(measure="tokens", amount=1_000))
            plane.accounts["sub_1"].granted = 0

        async with at(tmp_path, answer_json(completion()), prepare) as (gate, _):
            refused = await gate.call(ASK)
        assert refused.status == 402
        assert told(refused, "tokens")[:2] == ("1000", "1000")

    run(scenario())


def test_the_upstreams_own_rate_headers_do_not_reach_limited_callers(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit", "lim_1", limit())

        script = answer_json(
            completion(), 200, **{"x-ratelimit-limit-requests": "9999", "x-ratelimit-reset-tokens": "6m0s"}
        )
        async with at(tmp_path, script, prepare) as (gate, _):
            answer = await gate.call(ASK)
        assert told(answer, "requests")[:2] == ("3", "2")
        assert told(answer, "tokens") == (None, None, None)

    run(scenario())


def test_a_limit_that_is_used_up_refuses_until_its_period_ends_and_the_event_names_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit_block", "lim_1/acme", used_up())

        async with at(tmp_path, answer_json(completion()), prepare) as (gate, upstream):
            refused = await gate.call(ASK)
            (event,) = await gate.plane.events_arrived(1)
            gate.plane.put("limit_block", "lim_1/acme", used_up(until_at=datetime.now(UTC)))
            again = await gate.call_until(200)
        assert refused.status == 429
        assert (refused.error["type"], refused.error["code"]) == ("insufficient_quota", "spend_limit_exceeded")
        assert 3_500 <= int(refused.headers["retry-after"]) <= 3_600
        assert refused.headers["x-should-retry"] == "false"
        assert "20 USD per month" in str(refused.error["message"])
        assert event.blocked_by == "lim_1"
        assert again.status == 200
        assert len(upstream.requests) == 1

    run(scenario())


def test_a_total_that_is_used_up_names_no_time_to_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit_block", "lim_1/key_key-1", used_up(subject="key", subject_id="key_key-1", until_at=None))
            plane.put(
                "limit_block", "lim_2/key_key-9", used_up(limit_id="lim_2", subject="key", subject_id="key_key-9")
            )

        async with at(tmp_path, answer_json(completion()), prepare) as (gate, _):
            refused = await gate.call(ASK)
            gate.plane.remove("limit_block", "lim_1/key_key-1")
            again = await gate.call_until(200)
        assert refused.status == 429
        assert "retry-after" not in refused.headers
        assert again.status == 200

    run(scenario())


def test_calls_near_the_end_of_a_cap_pass_and_are_told_of_without_delay(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit_block", "lim_1/acme", used_up(is_near=True))
            plane.put("limit", "lim_2", limit(limit_id="lim_2", measure="tokens", amount=1_000))

        async with at(tmp_path, answer_json(completion(12, 40)), prepare) as (gate, _):
            answer = await gate.call(ASK)
            await gate.plane.events_arrived(1)
        assert answer.status == 200
        assert told(answer, "tokens")[1] == "948"
        assert gate.plane.urgent_posts >= 1

    run(scenario())


def test_calls_of_plain_routes_are_limited_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        def prepare(plane: ControlPlane) -> None:
            plane.put("limit", "lim_1", limit(amount=1))

        async with at(tmp_path, answer_json(b"{}"), prepare, dialect="none", enforce="none") as (gate, _):
            answers = [await gate.call({}, path="/ai/chat/files") for _ in range(2)]
        assert [answer.status for answer in answers] == [200, 429]
        assert told(answers[0], "requests")[:2] == ("1", "0")

    run(scenario())
