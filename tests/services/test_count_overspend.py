"""Whatever a prepaid account spends that it does not have is counted, by cause."""

import pytest

from faregate.storage.database import Database
from faregate.wire.gateway_protocol import Drawn, WhenCreditEnds
from tests.services.world import DOLLAR, Call, World, make_world


@pytest.fixture
def funded(world: World) -> World:
    """One dollar; input costs half a dollar for a million tokens, output a dollar and a half."""
    world.open_epoch()
    world.grant("1")
    return world


def counted(world: World) -> dict[object, tuple[object, object]]:
    return {row["cause"]: (row["amount"], row["times"]) for row in world.rows("overspend")}


def test_what_was_held_is_no_overspend(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    drawn = (Drawn(lease_id=lease.lease_id, units=1_000),)
    funded.take(Call(prompt_tokens=1_000, completion_tokens=0, drawn=drawn))
    assert counted(funded) == {}


def test_what_a_call_used_above_its_hold_is_counted_as_far_as_it_was_not_there(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    drawn = (Drawn(lease_id=lease.lease_id, units=1_000),)
    # Two more packages than were held: one was there.
    funded.take(Call(prompt_tokens=2_000_001, completion_tokens=0, drawn=drawn))
    assert counted(funded) == {"above_hold": (DOLLAR // 2, 1)}
    assert funded.account().available == -DOLLAR // 2


def test_what_a_stream_used_that_went_on_without_credit_has_a_cause_of_its_own(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    drawn = (Drawn(lease_id=lease.lease_id, units=1_000),)
    stream = Call(prompt_tokens=2_000_001, completion_tokens=0, drawn=drawn, credit_ended=WhenCreditEnds.FINISH)
    funded.take(stream)
    assert counted(funded) == {"finished": (DOLLAR // 2, 1)}


def test_calls_that_held_nothing_are_told_apart_from_agents_events(funded: World) -> None:
    funded.take(Call(request_id="a", prompt_tokens=3_000_000, completion_tokens=0))
    assert counted(funded) == {"not_held": (DOLLAR // 2, 1)}
    agents = Call(request_id="b", prompt_tokens=1_000_000, completion_tokens=0).body()
    funded.log(agents[: agents.index(b',"faregate"')] + b"}")
    funded.apply()
    assert counted(funded) == {"not_held": (DOLLAR // 2, 1), "agents": (DOLLAR // 2, 1)}


def test_units_that_were_given_back_before_their_call_was_applied_are_late(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    funded.ask(request_id="r1", given_up=("ask-1",))
    drawn = (Drawn(lease_id=lease.lease_id, units=1_000),)
    funded.take(Call(prompt_tokens=3_000_000, completion_tokens=0, drawn=drawn))
    assert counted(funded) == {"late": (DOLLAR // 2, 1)}


def test_overspend_of_one_cause_adds_up(funded: World) -> None:
    for number in range(3):
        funded.take(Call(request_id=f"r{number}", sequence=number, prompt_tokens=2_000_000, completion_tokens=0))
    assert counted(funded) == {"not_held": (2 * DOLLAR, 2)}


def test_an_account_that_pays_afterwards_overspends_nothing(database: Database) -> None:
    world = make_world(database, pays="postpaid")
    world.take(Call(prompt_tokens=3_000_000))
    assert counted(world) == {}
