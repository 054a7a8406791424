"""Lease requests that come together share a transaction; each gets the answer that it would get alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from faregate.apps.control.lease_desk import TOGETHER, LeaseDesk
from faregate.base.errors import InvalidInput
from faregate.storage.database import Database
from faregate.wire.gateway_protocol import LeaseAnswer, LeaseRequest, Refused, UnitRequest
from tests.services.world import NOW, SUBSCRIPTION, SteppedClock, World, make_world

CALL = 100
DOLLAR_OF_OUTPUT = 1_000_000


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    database = Database(f"sqlite:///{tmp_path / 'state.sqlite3'}")
    made = make_world(database)
    made.open_epoch()
    yield made
    database.close()


def asking(number: int, *, units: int = CALL) -> LeaseRequest:
    return LeaseRequest(
        lease_request_id=f"ask-{number}",
        gateway_id="gtw_1",
        epoch=1,
        returns=[],
        subscription_id=SUBSCRIPTION,
        occurred_at=NOW,
        units=[UnitRequest(price_id="prc_out", floor=units, call=units, slice=units)],
    )


def answer_all(
    world: World, requests: list[LeaseRequest], *, leaving: int | None = None
) -> tuple[list[LeaseAnswer | BaseException], int]:
    """Return the answers to requests that come at once, and how many transactions there were."""
    commits = 0

    def count() -> None:
        nonlocal commits
        commits += 1

    async def run() -> list[LeaseAnswer | BaseException]:
        desk = LeaseDesk(database=world.database, clock=SteppedClock(), gateways=lambda: 1)
        world.database.after_commit = count
        tasks = [asyncio.create_task(desk.answer(request)) for request in requests]
        if leaving is not None:
            await asyncio.sleep(0)
            tasks[leaving].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(run()), commits


def test_requests_that_come_together_share_transactions_and_are_all_granted(world: World) -> None:
    world.grant("2")
    answers, commits = answer_all(world, [asking(number) for number in range(TOGETHER + 8)])
    assert [len(answer.leases) for answer in answers if isinstance(answer, LeaseAnswer)] == [1] * (TOGETHER + 8)
    assert commits == 2
    assert world.total("prc_out").outstanding == CALL * (TOGETHER + 8)


def test_what_one_is_granted_is_not_there_for_the_next(world: World) -> None:
    world.grant("1.50")
    answers, _ = answer_all(world, [asking(number, units=DOLLAR_OF_OUTPUT * 2 // 3) for number in range(3)])
    refused = [answer.refused for answer in answers if isinstance(answer, LeaseAnswer)]
    assert refused == [None, Refused.INSUFFICIENT, Refused.INSUFFICIENT]


def test_a_request_that_cannot_be_answered_fails_alone(world: World) -> None:
    world.grant("2")
    bad = asking(1)
    bad.units.append(bad.units[0])
    first, second, third = answer_all(world, [asking(0), bad, asking(2)])[0]
    assert isinstance(first, LeaseAnswer)
    assert isinstance(second, InvalidInput)
    assert isinstance(third, LeaseAnswer)
    assert world.total("prc_out").outstanding == 2 * CALL


def test_a_caller_that_leaves_takes_nobodys_answer_along(world: World) -> None:
    world.grant("2")
    answers, _ = answer_all(world, [asking(0), asking(1)], leaving=0)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert isinstance(answers[1], LeaseAnswer)
