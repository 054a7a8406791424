"""Credit is held before the upstream is called: never more than the ledger gave, never less than the call can use."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from faregate.apps.gateway.holding import Denied, Holding
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.pools import Hold, PriceNeed, Want
from faregate.base.clock import SystemClock
from faregate.base.ids import new_id
from faregate.wire.gateway_protocol import Lease, LeaseAnswer, LeaseRequest, Refused
from tests.gateway.control_plane import ControlPlane, package
from tests.gateway.running import ASK, gateway, run, until
from tests.gateway.scripted import DONE, answer_json, chunk, completion, scripted, stream, usage_chunk
from tests.gateway.spoken import CENT

NOW = datetime(2026, 1, 15, tzinfo=UTC)


def slow(script: object, pause_s: float) -> object:
    async def slowed(request: object, writer: object) -> None:
        await asyncio.sleep(pause_s)
        await script(request, writer)  # type: ignore[operator]

    return slowed


def test_fifty_parallel_calls_against_a_balance_for_ten_give_exactly_ten_answers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(slow(answer_json(completion(0, 100)), 0.05)) as upstream:  # type: ignore[arg-type]
            plane = ControlPlane()
            prices = {"completion_tokens": package("output", size=100, amount="0.01")}
            plane.seed(upstream.origin, prices=prices, granted=10 * CENT)
            async with gateway(tmp_path, plane) as gate:
                answers = await asyncio.gather(*(gate.call(ASK) for _ in range(50)))
                assert Counter(answer.status for answer in answers) == {200: 10, 402: 40}
                await plane.events_arrived(50)
                account = plane.accounts["sub_1"]
                assert (account.granted - account.debited(), account.outstanding()) == (0, 0)
                refused = next(answer for answer in answers if answer.status == 402)
                assert refused.error["code"] == "credit_balance_exhausted"
                assert refused.headers["x-should-retry"] == "false"
                # Nothing is outstanding any more: the next one is refused without waiting.
                started_s = asyncio.get_running_loop().time()
                assert (await gate.call(ASK)).status == 402
                assert asyncio.get_running_loop().time() - started_s < 0.5
                plane.grant("sub_1", CENT)
                assert (await gate.call(ASK)).status == 200
        assert len(upstream.requests) == 11

    run(scenario())


def test_the_upstream_is_limited_to_what_is_held(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 5))) as upstream:
            plane = ControlPlane()
            prices = {"completion_tokens": package("output", size=1, amount="0.01")}
            plane.seed(upstream.origin, prices=prices, granted=400 * CENT)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK | {"max_tokens": 5_000})).status == 200
                await plane.events_arrived(1)
                assert (await gate.call(ASK | {"max_tokens": None, "max_completion_tokens": 900, "n": 1})).status == 200
                await plane.events_arrived(2)
                assert (await gate.call({"messages": [], "n": 3, "max_tokens": 90})).status == 200
                await plane.events_arrived(3)
                assert (await gate.call({"messages": []})).status == 200
        first, second, third, fourth = (request.json for request in upstream.requests)
        assert first["max_tokens"] == 400
        assert (second["max_completion_tokens"], second["max_tokens"]) == (395, None)
        assert third["max_tokens"] == 90
        assert fourth["max_tokens"] == 385

    run(scenario())


def test_a_call_whose_least_output_is_not_affordable_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 5))) as upstream:
            plane = ControlPlane()
            prices = {"completion_tokens": package("output", size=1, amount="0.01")}
            plane.seed(upstream.origin, prices=prices, granted=255 * CENT)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK | {"max_tokens": 300})).status == 402
                assert (await gate.call(ASK | {"max_tokens": 255})).status == 200

    run(scenario())


def test_units_idle_at_one_price_are_given_back_for_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 100))) as upstream:
            plane = ControlPlane()
            prices = {
                "prompt_tokens": package("input", size=1, amount="0.01"),
                "completion_tokens": package("output", size=1, amount="0.01"),
            }
            # Input is bounded by the body's bytes, far above the one token it comes to.
            plane.seed(upstream.origin, prices=prices, granted=420 * CENT)
            async with gateway(tmp_path, plane) as gate:
                statuses = []
                for _ in range(4):
                    statuses.append((await gate.call(ASK)).status)
                    await plane.events_arrived(len(statuses))
        assert statuses == [200, 200, 200, 402]

    run(scenario())


def test_parallel_streams_hold_and_settle_their_own_units(tmp_path: Path) -> None:
    async def scenario() -> None:
        events = [chunk("a"), usage_chunk(3, 7), DONE]
        async with scripted(stream(*events, pause_s=0.01)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                answers = await asyncio.gather(*(gate.call(ASK | {"stream": True}) for _ in range(60)))
                assert {answer.status for answer in answers} == {200}
                events_seen = await plane.events_arrived(60)
                account = plane.accounts["sub_1"]
                assert account.settled == {"prc_input": 180, "prc_output": 420}
                assert await gate.metric("faregate_gateway_lease_units_outstanding") == account.outstanding()
            assert account.outstanding() == 0
        assert all(sum(d.units for d in event.faregate.drawn) == 10 for event in events_seen if event.faregate)
        assert len(plane.lease_requests) < 30

    run(scenario())


def test_an_idle_account_gives_its_units_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 5))) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK)).status == 200
                await plane.events_arrived(1)
                assert plane.accounts["sub_1"].outstanding() > 0
                await until(lambda: not plane.accounts["sub_1"].outstanding(), within_s=8)

    run(scenario())


def test_a_lease_is_not_held_from_after_four_fifths_of_its_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 5))) as upstream:
            plane = ControlPlane()
            plane.lease_ms = 250
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK)).status == 200
                leased = len(plane.lease_requests)
                await asyncio.sleep(0.21)
                assert (await gate.call(ASK)).status == 200
                assert len(plane.lease_requests) > leased
                returned = [entry for request in plane.lease_requests for entry in request.returns]
        assert returned

    run(scenario())


def test_a_used_up_account_with_an_unreachable_ledger_is_503_not_402(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 5))) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                plane.failing = True
                answer = await gate.call(ASK)
                assert (answer.status, answer.error["code"]) == (503, "credit_unavailable")
                plane.failing = False
                for _ in range(4):  # now a burn is known, and more than a call's units are at hand
                    assert (await gate.call(ASK)).status == 200
                plane.failing = True
                assert (await gate.call(ASK)).status == 200
                plane.failing = False
                await plane.events_arrived(5)
        assert plane.sequences == [1, 2, 3, 4, 5]

    run(scenario())


def test_a_fenced_gateway_holds_no_more(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 5))) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                (gateway_id,) = plane.epochs
                plane.epochs[gateway_id] += 1
                assert (await gate.call(ASK)).status == 503
                readiness = await gate.call(method="GET", path="/readyz")
        assert readiness.status == 503
        assert "later epoch" in str(readiness.json["reasons"])

    run(scenario())


def test_usage_above_the_hold_is_drawn_from_what_is_idle(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(1, 150))) as upstream:
            plane = ControlPlane()
            prices = {"completion_tokens": package("output", size=1_000_000, amount="1")}
            plane.seed(upstream.origin, prices=prices)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK)).status == 200
                (event,) = await plane.events_arrived(1)
                assert event.faregate is not None
                assert event.faregate.drawn == [msgspec.structs.replace(event.faregate.drawn[0], units=100)]
                assert await gate.metric("faregate_gateway_overspend_calls_above_hold_total") == 1
                assert await gate.metric("faregate_gateway_overspend_uncovered_units_total") == 50

    run(scenario())


class Ledger:
    """A control plane that refuses the first requests, while something is outstanding, and then grants all."""

    def __init__(self, refusals: int) -> None:
        self.left = refusals
        self.asked: list[int] = []

    async def lease(self, request: LeaseRequest) -> LeaseAnswer:
        await asyncio.sleep(0.01)
        (units,) = request.units
        self.asked.append(units.call)
        if self.left:
            self.left -= 1
            return LeaseAnswer(refused=Refused.INSUFFICIENT, outstanding=True)
        lease = Lease(
            lease_id=f"lea_{len(self.asked)}",
            price_id=units.price_id,
            period_start=NOW,
            period_end=NOW + timedelta(days=1),
            units=units.call,
            duration_ms=10_000,
        )
        return LeaseAnswer(leases=[lease])


def test_a_small_call_never_overtakes_a_large_one_that_waits() -> None:
    async def scenario() -> None:
        ledger = Ledger(refusals=2)
        holding = Holding(
            ledger,  # type: ignore[arg-type]
            identity=lambda: ("gw_1", 1),
            clock=SystemClock(),
            new_id=new_id,
            metrics=GatewayMetrics(),
        )
        need = PriceNeed(price_id="pri_1", per_input=1, per_output=0)
        order: list[int] = []

        async def call(units: int) -> None:
            want = Want(needs=(need,), input=units, output=0, least_output=0, choices=1, occurred_at=NOW)
            assert holding.try_hold("sub_1", want) is None
            assert isinstance(await holding.hold("sub_1", want, wait_ms=2_000), Hold)
            order.append(units)

        large = asyncio.create_task(call(50))
        await asyncio.sleep(0.005)
        await asyncio.gather(large, *(call(units) for units in (5, 3, 8)))
        assert order == [50, 5, 3, 8]
        assert ledger.asked[:3] == [50, 50, 50]

    run(scenario())


class Generous:
    """A control plane that grants the slice that is asked for, up to `most`; nothing at 0."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[tuple[int, int]] = []

    async def lease(self, request: LeaseRequest) -> LeaseAnswer:
        await asyncio.sleep(0)
        (units,) = request.units
        self.asked.append((units.call, units.slice))
        granted = min(max(units.call, units.slice), self.most)
        if granted < units.call:
            return LeaseAnswer(refused=Refused.EXHAUSTED)
        lease = Lease(
            lease_id=f"lea_{len(self.asked)}",
            price_id=units.price_id,
            period_start=NOW,
            period_end=NOW + timedelta(days=1),
            units=granted,
            duration_ms=10_000,
        )
        return LeaseAnswer(leases=[lease] if granted else [])


NEED = PriceNeed(price_id="pri_1", per_input=1, per_output=0)
TEN_UNITS = Want(needs=(NEED,), input=10, output=0, least_output=0, choices=1, occurred_at=NOW)


def holding_of(ledger: Generous) -> Holding:
    return Holding(
        ledger,  # type: ignore[arg-type]
        identity=lambda: ("gw_1", 1),
        clock=SystemClock(),
        new_id=new_id,
        metrics=GatewayMetrics(),
    )


async def call_times(holding: Holding, count: int) -> None:
    for _ in range(count):
        hold = holding.try_hold("sub_1", TEN_UNITS) or await holding.hold("sub_1", TEN_UNITS, wait_ms=100)
        assert isinstance(hold, Hold)
        hold.settle({"pri_1": 10})
        holding.settled(hold)


def test_a_call_that_ends_in_the_moment_it_is_given_its_hold_leaves_nothing_held() -> None:
    async def scenario() -> None:
        holding = holding_of(Generous(most=10_000))
        hold = await holding.hold("sub_1", TEN_UNITS, wait_ms=100)
        assert isinstance(hold, Hold)
        account = hold.account
        hold.settle({})
        want = Want(needs=(NEED,), input=5_000, output=0, least_output=0, choices=1, occurred_at=NOW)
        waiting = asyncio.create_task(holding.hold("sub_1", want, wait_ms=100))
        async with asyncio.timeout(5):
            while not account.in_flight:  # noqa: ASYNC110 - every turn of the loop counts
                await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert account.in_flight == 0
        assert all(units.held == 0 for pool in account.pools.values() for units in pool.leases)

    run(scenario())


def test_a_call_of_another_price_is_not_refused_for_one_that_found_nothing() -> None:
    async def scenario() -> None:
        holding = holding_of(Generous(most=100))
        dear = PriceNeed(price_id="pri_dear", per_input=1_000, per_output=0)
        want = Want(needs=(dear,), input=10, output=0, least_output=0, choices=1, occurred_at=NOW)
        outcomes = await asyncio.gather(
            holding.hold("sub_1", want, wait_ms=100), holding.hold("sub_1", TEN_UNITS, wait_ms=100)
        )
        assert outcomes[0] is Denied.NO_CREDIT
        assert isinstance(outcomes[1], Hold)

    run(scenario())


def test_many_calls_find_more_before_the_last_unit_is_used() -> None:
    async def scenario() -> None:
        ledger = Generous(most=10_000)
        holding = holding_of(ledger)
        await call_times(holding, 13)
        asked = len(ledger.asked)
        holding.look_ahead()
        # One request at a time, for no call in particular, and for what two seconds burn.
        holding.look_ahead()
        await asyncio.sleep(0.01)
        assert ledger.asked[asked:] == [(0, 130)]
        await call_times(holding, 9)
        assert len(ledger.asked) == asked + 1
        holding.look_ahead()
        await asyncio.sleep(0.01)
        assert len(ledger.asked) == asked + 2

    run(scenario())


def test_who_calls_seldom_asks_a_call_at_a_time() -> None:
    async def scenario() -> None:
        ledger = Generous(most=10_000)
        holding = holding_of(ledger)
        holding.look_ahead()
        await call_times(holding, 7)
        asked = len(ledger.asked)
        holding.look_ahead()
        await asyncio.sleep(0.01)
        assert len(ledger.asked) == asked

    run(scenario())


def test_near_the_end_of_the_credit_nothing_is_taken_ahead() -> None:
    async def scenario() -> None:
        ledger = Generous(most=10_000)
        holding = holding_of(ledger)
        await call_times(holding, 13)
        asked = len(ledger.asked)
        ledger.most = 0
        for _ in range(3):
            holding.look_ahead()
            await asyncio.sleep(0.01)
        assert ledger.asked[asked:] == [(0, 130)]

    run(scenario())
