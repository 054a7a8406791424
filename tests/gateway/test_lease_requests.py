"""Lease requests whose answers do not come, and what lies idle when it is called back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from faregate.apps.gateway.holding import Denied, Holding
from faregate.apps.gateway.lease_requests import LeaseRequests
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.pools import Hold, PriceNeed, Want
from faregate.base.clock import SystemClock
from faregate.base.errors import Unavailable
from faregate.base.ids import new_id
from faregate.wire.gateway_protocol import Lease, LeaseAnswer, LeaseRequest, Refused, UnitRequest
from tests.gateway.running import run, until

NOW = datetime(2026, 1, 15, tzinfo=UTC)
NEED = PriceNeed(price_id="pri_1", per_input=1, per_output=0)
TEN_UNITS = Want(needs=(NEED,), input=10, output=0, least_output=0, choices=1, occurred_at=NOW)
TEN = [UnitRequest(price_id="pri_1", floor=10, call=10, slice=10)]


@dataclass
class Ledger:
    """Answers as a test says: None is an answer that never comes; afterwards it grants what is asked for."""

    answers: list[LeaseAnswer | None] = field(default_factory=list)
    requests: list[LeaseRequest] = field(default_factory=list)

    async def lease(self, request: LeaseRequest) -> LeaseAnswer:
        await asyncio.sleep(0)
        self.requests.append(request)
        if self.answers:
            answer = self.answers.pop(0)
            if answer is None:
                raise Unavailable("no answer")
            return answer
        return LeaseAnswer(
            leases=[
                Lease(
                    lease_id=f"lea_{len(self.requests)}",
                    price_id=unit.price_id,
                    period_start=NOW,
                    period_end=NOW + timedelta(days=1),
                    units=unit.slice,
                    duration_ms=10_000,
                )
                for unit in request.units
            ]
        )


@dataclass
class Process:
    """A gateway process of an epoch."""

    epoch: int = 1

    def identity(self) -> tuple[str, int]:
        return "gw_1", self.epoch


def requests_to(ledger: Ledger, process: Process) -> LeaseRequests:
    return LeaseRequests(ledger, identity=process.identity, new_id=new_id, metrics=GatewayMetrics())  # type: ignore[arg-type]


def holding_of(ledger: Ledger) -> Holding:
    return Holding(
        ledger,  # type: ignore[arg-type]
        identity=Process().identity,
        clock=SystemClock(),
        new_id=new_id,
        metrics=GatewayMetrics(),
    )


def test_a_request_whose_answer_never_came_is_repeated_under_its_id_and_then_given_up_until_that_is_heard() -> None:
    async def scenario() -> None:
        ledger = Ledger(answers=[None, None, None, None, None, None])
        requests = requests_to(ledger, Process())
        assert await requests.send([], subscription_id="sub_1", units=TEN) is None
        (lost,) = {request.lease_request_id for request in ledger.requests}
        assert requests.has_given_up
        assert await requests.send([]) is None
        assert requests.has_given_up
        assert await requests.send([], subscription_id="sub_1", units=TEN) is not None
        assert [request.given_up for request in ledger.requests] == [[]] * 3 + [[lost]] * 4
        assert not requests.has_given_up

    run(scenario())


def test_a_refusal_of_a_repeat_is_given_up_too_since_the_first_may_still_arrive_and_find_credit() -> None:
    async def scenario() -> None:
        ledger = Ledger(answers=[None, LeaseAnswer(refused=Refused.INSUFFICIENT)])
        requests = requests_to(ledger, Process())
        await requests.send([], subscription_id="sub_1", units=TEN)
        await requests.send([])
        assert ledger.requests[-1].given_up == [ledger.requests[0].lease_request_id]

    run(scenario())


def test_a_process_that_was_fenced_asks_for_nothing_until_it_has_another_epoch() -> None:
    async def scenario() -> None:
        ledger, process = Ledger(answers=[LeaseAnswer(refused=Refused.FENCED)]), Process()
        requests = requests_to(ledger, process)
        await requests.send([], subscription_id="sub_1", units=TEN)
        before = requests.fenced
        assert await requests.send([], subscription_id="sub_1", units=TEN) is None
        assert len(ledger.requests) == 1
        process.epoch = 2
        assert (before, requests.fenced) == (True, False)
        assert await requests.send([], subscription_id="sub_1", units=TEN) is not None

    run(scenario())


def test_a_recall_gives_back_what_is_idle_at_once_and_nothing_that_a_call_holds() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        holding = holding_of(ledger)
        first = await holding.hold("sub_1", TEN_UNITS, wait_ms=100)
        second = await holding.hold("sub_1", TEN_UNITS, wait_ms=100)
        assert isinstance(first, Hold)
        assert isinstance(second, Hold)
        first.settle({"pri_1": 4})
        idle = holding.outstanding_units() - 10
        assert idle > 0
        holding.recall("sub_1")
        holding.recall("of nobody here")
        await until(lambda: holding.outstanding_units() <= 10, within_s=2)
        assert sum(entry.returned_units for entry in ledger.requests[-1].returns) == idle

    run(scenario())


def test_a_waiting_call_asks_again_as_soon_as_credit_came_free() -> None:
    async def scenario() -> None:
        ledger = Ledger(answers=[LeaseAnswer(refused=Refused.INSUFFICIENT, outstanding=True)])
        holding = holding_of(ledger)
        waiting = asyncio.create_task(holding.hold("sub_1", TEN_UNITS, wait_ms=60_000))
        async with asyncio.timeout(2):
            await until(lambda: ledger.requests)
            holding.freed("sub_1")
            assert isinstance(await waiting, Hold)

    run(scenario())


def test_a_call_that_waits_while_the_ledger_is_restored_is_held_from_what_the_ledger_gives_afterwards() -> None:
    async def scenario() -> None:
        ledger = Ledger(answers=[LeaseAnswer(refused=Refused.INSUFFICIENT, outstanding=True)])
        holding = holding_of(ledger)
        waiting = asyncio.create_task(holding.hold("sub_1", TEN_UNITS, wait_ms=1_000))
        async with asyncio.timeout(2):
            while not ledger.requests:  # noqa: ASYNC110 - the request is on its way
                await asyncio.sleep(0)
            holding.forget()
            hold = await waiting
        assert isinstance(hold, Hold)
        assert [part.units.lease.lease_id for part in hold.parts] == ["lea_2"]

    run(scenario())


def test_while_leases_are_suspended_calls_are_refused_for_now_and_not_for_want_of_credit() -> None:
    async def scenario() -> None:
        holding = holding_of(Ledger(answers=[LeaseAnswer(refused=Refused.SUSPENDED, outstanding=True)]))
        assert await holding.hold("sub_1", TEN_UNITS, wait_ms=5_000) is Denied.UNAVAILABLE

    run(scenario())


def test_after_a_restore_nothing_is_held_from_leases_that_the_ledger_no_longer_knows() -> None:
    async def scenario() -> None:
        ledger = Ledger()
        holding = holding_of(ledger)
        hold = await holding.hold("sub_1", TEN_UNITS, wait_ms=100)
        assert isinstance(hold, Hold)
        (left,) = holding.forget()
        assert (left.in_flight, holding.outstanding_units()) == (1, 0)
        assert holding.try_hold("sub_1", TEN_UNITS) is None
        hold.settle({"pri_1": 10})
        assert left.in_flight == 0
        assert isinstance(await holding.hold("sub_1", TEN_UNITS, wait_ms=100), Hold)

    run(scenario())
