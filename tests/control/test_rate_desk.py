"""Gateways that share limits per minute, over the control plane's own HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from faregate.apps.gateway import rates as rates_of_gateway
from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.rates import Rate, Rates
from faregate.base.clock import SystemClock
from faregate.domain.limits.limit import Measure, Per, Subject
from faregate.services.change import Change
from faregate.services.gateway_calls import main_application
from faregate.services.limits import change_limit, create_limit
from faregate.storage.database import Transaction
from faregate.wire.api.limits import LimitChange, LimitCreate
from faregate.wire.limit_protocol import LimitState
from tests.control.control_plane import GATEWAY_TOKEN, Handle, started
from tests.services.world import SteppedClock

AMOUNT = 20
SECOND = timedelta(seconds=1)


def changing(control: Handle, work: Callable[[Transaction, Change], object]) -> None:
    def run(transaction: Transaction) -> None:
        application_id = main_application(transaction)
        now = SystemClock().now()
        work(transaction, Change(application_id=application_id, now=now, new_id=lambda _: "lim_1"))

    control.write(run)


def a_limit(control: Handle, amount: int = AMOUNT) -> LimitState:
    request = LimitCreate(
        name="Per minute", subject=Subject.KEY, measure=Measure.REQUESTS, per=Per.MINUTE, amount=Decimal(amount)
    )
    changing(control, lambda tx, change: create_limit(tx, change, request))
    return LimitState(
        limit_id="lim_1",
        application_id="-",
        name="Per minute",
        subject=Subject.KEY,
        subject_id=None,
        plan_id=None,
        measure=Measure.REQUESTS,
        amount=amount,
        routes=[],
    )


@dataclass
class Gateway:
    """A gateway's counting, on a clock that the test moves."""

    rates: Rates
    rate: Rate

    async def admitted(self, calls: int) -> int:
        return sum([isinstance(await self.rates.take([self.rate], 1), int) for _ in range(calls)])


@dataclass
class Fleet:
    """Gateways against one control plane."""

    control: Handle
    clock: SteppedClock
    limit: LimitState
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    planes: list[ControlPlane] = field(default_factory=list)

    async def gateway(self, name: str) -> Gateway:
        plane = ControlPlane(self.control.running.origin, GATEWAY_TOKEN)
        epoch = (await plane.open_epoch(name, 0)).epoch
        rates = Rates(plane, identity=lambda: (name, epoch), clock=self.clock)
        rates.begin()
        self.tasks.append(asyncio.create_task(rates.run()))
        self.planes.append(plane)
        return Gateway(rates, rates.rate_for(self.limit, "key_1"))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for plane in self.planes:
            await plane.close()


def play(control: Handle, scenario: Callable[[Fleet], Awaitable[None]], amount: int = AMOUNT) -> None:
    async def run() -> None:
        fleet = Fleet(control, SteppedClock(), limit)
        try:
            await scenario(fleet)
        finally:
            await fleet.close()

    limit = a_limit(control, amount)
    asyncio.run(run())


def report(control: Handle, name: str, desk: str, use: dict[str, object], number: int = 1) -> dict[str, object]:
    body = {"gateway_id": name, "epoch": 1, "number": number, "desk": desk, "uses": [use]}
    return control.as_gateway("POST", "/gateway/v1/rates", body).json()


def share_of(answer: dict[str, object]) -> object:
    shares = answer["shares"]
    assert isinstance(shares, list)
    return shares[0]["share"]


def test_one_gateway_has_the_whole_limit_and_not_one_call_more(control: Handle) -> None:
    async def scenario(fleet: Fleet) -> None:
        gateway = await fleet.gateway("gw_a")
        assert await gateway.admitted(AMOUNT + 5) == AMOUNT

    play(control, scenario)


def test_two_gateways_together_have_the_limit_and_not_one_call_more(control: Handle) -> None:
    async def scenario(fleet: Fleet) -> None:
        first, second = await fleet.gateway("gw_a"), await fleet.gateway("gw_b")
        calls = [gateway.admitted(1) for _ in range(AMOUNT) for gateway in (first, second)]
        admitted = sum(await asyncio.gather(*calls))
        assert admitted <= AMOUNT
        # What neither had while both asked at once is there for who asks next, within the same minute.
        for _ in range(20):
            fleet.clock.at += SECOND
            admitted += await first.admitted(2) + await second.admitted(2)
        assert admitted == AMOUNT

    play(control, scenario)


def test_a_gateway_gets_an_equal_part_when_the_others_use_has_left_the_minute(control: Handle) -> None:
    async def scenario(fleet: Fleet) -> None:
        first, second = await fleet.gateway("gw_a"), await fleet.gateway("gw_b")
        assert await first.admitted(AMOUNT) == AMOUNT
        assert await second.admitted(1) == 0
        minute = [0, 0]
        for second_of_two in range(150):
            fleet.clock.at += SECOND
            taken = [await gateway.admitted(1) for gateway in (first, second)]
            if second_of_two >= 90:
                minute = [before + now for before, now in zip(minute, taken, strict=True)]
        assert sum(minute) <= AMOUNT
        assert min(minute) >= AMOUNT // 2 - 1

    play(control, scenario)


def test_a_control_plane_that_was_started_anew_hears_what_gateways_hold_before_it_gives_shares(tmp_path: Path) -> None:
    held = {"limit_id": "lim_1", "subject_id": "key_1", "holds": AMOUNT, "used": 3, "wanted": AMOUNT}
    with started(tmp_path / "kept") as control:
        a_limit(control)
        for name in ("gw_a", "gw_b"):
            control.as_gateway("POST", "/gateway/v1/epochs", {"gateway_id": name})
    with started(tmp_path / "kept") as control, ThreadPoolExecutor(1) as pool:
        wanted = held | {"holds": 0, "used": 0}
        newcomer = pool.submit(report, control, "gw_b", "", wanted)
        to_another = report(control, "gw_a", "desk_of_before", held)
        assert to_another["shares"] == []
        report(control, "gw_a", str(to_another["desk"]), held)
        assert share_of(newcomer.result()) == 0


def test_cut_off_from_the_control_plane_a_gateway_goes_on_with_what_it_has(control: Handle) -> None:
    async def scenario(fleet: Fleet) -> None:
        plane = ControlPlane("http://127.0.0.1:9", GATEWAY_TOKEN)
        rates = Rates(plane, identity=lambda: ("gw_a", 1), clock=fleet.clock)
        rates.begin()
        fleet.tasks.append(asyncio.create_task(rates.run()))
        fleet.planes.append(plane)
        gateway = Gateway(rates, rates.rate_for(fleet.limit, "key_1"))
        assert await gateway.admitted(AMOUNT + 5) == AMOUNT

    play(control, scenario)


def test_a_limit_that_was_lowered_or_raised_holds_at_once(control: Handle) -> None:
    async def scenario(fleet: Fleet) -> None:
        gateway = await fleet.gateway("gw_a")
        assert await gateway.admitted(AMOUNT + 1) == AMOUNT
        changing(
            control, lambda tx, change: change_limit(tx, change, LimitChange(amount=Decimal(25)), limit_id="lim_1")
        )
        gateway.rate.amount = 25
        fleet.clock.at += SECOND
        assert await gateway.admitted(10) == 5

    play(control, scenario)


def test_more_subjects_than_a_report_holds_are_reported_in_parts(
    control: Handle, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(fleet: Fleet) -> None:
        monkeypatch.setattr(rates_of_gateway, "MOST_USES", 3)
        gateway = await fleet.gateway("gw_a")
        rates = [gateway.rates.rate_for(fleet.limit, f"key_{number}") for number in range(10)]
        taken = await asyncio.gather(*(gateway.rates.take([rate], 1) for rate in rates))
        assert [isinstance(one, int) for one in taken] == [True] * 10

    play(control, scenario)


def test_a_report_of_a_gateway_without_the_token_is_refused(control: Handle) -> None:
    assert control.ask("POST", "/gateway/v1/rates", b"{}").status == 401


def test_a_report_that_a_later_one_has_overtaken_gets_no_share(control: Handle) -> None:
    a_limit(control)
    control.as_gateway("POST", "/gateway/v1/epochs", {"gateway_id": "gw_a"})
    use: dict[str, object] = {"limit_id": "lim_1", "subject_id": "key_1", "holds": 0, "used": 0, "wanted": 5}
    assert share_of(report(control, "gw_a", "", use, number=2)) == 5
    assert report(control, "gw_a", "", use, number=1)["shares"] == []
