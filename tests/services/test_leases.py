from datetime import timedelta
from decimal import Decimal

import pytest

from faregate.base.errors import InvalidInput
from faregate.services.leases import release_earlier_epochs
from faregate.storage.database import Database
from faregate.wire.gateway_epochs import ReleaseEarlierEpochs
from faregate.wire.gateway_protocol import Drawn, LeaseReturn, Refused, UnitRequest
from tests.services.world import DOLLAR, NOW, Call, World, make_world, need


@pytest.fixture
def funded(world: World) -> World:
    world.open_epoch()
    world.grant("2")
    return world


def test_a_lease_reserves_what_its_units_can_cost(funded: World) -> None:
    funded.lease("prc_in", 1_000)
    assert (funded.account().reserved, funded.account().available) == (DOLLAR // 2, DOLLAR * 3 // 2)


def test_units_of_an_open_package_cost_nothing_more(funded: World) -> None:
    funded.lease("prc_in", 1_000)
    funded.lease("prc_in", 999_000, request_id="ask-2")
    assert funded.account().reserved == DOLLAR // 2


def test_what_leases_reserve_never_exceeds_the_balance(funded: World) -> None:
    funded.lease("prc_out", 1_000)
    assert funded.ask(need("prc_out", 1_000_000), request_id="ask-2").refused is Refused.INSUFFICIENT
    assert funded.account().available == DOLLAR // 2


def test_all_prices_of_a_request_are_granted_or_none(funded: World) -> None:
    answer = funded.ask(need("prc_in", 1_000_001), need("prc_out", 1))
    assert answer.refused is Refused.INSUFFICIENT
    assert funded.account().reserved == 0


def test_a_repeated_lease_request_gets_the_same_leases(funded: World) -> None:
    first = funded.ask(need("prc_in", 10))
    assert funded.ask(need("prc_in", 10)) == first
    assert funded.total("prc_in").outstanding == 10


def test_a_fenced_process_gets_nothing(funded: World) -> None:
    funded.open_epoch()
    assert funded.ask(need("prc_in", 10), epoch=1).refused is Refused.FENCED
    assert funded.ask(need("prc_in", 10), epoch=2).refused is None


def test_a_return_restores_the_available_balance_once(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    back = LeaseReturn(lease_id=lease.lease_id, returned_units=400)
    funded.ask(returns=(back,), request_id="r1")
    funded.ask(returns=(back,), request_id="r2")
    assert funded.total("prc_in").outstanding == 600
    funded.ask(returns=(LeaseReturn(lease_id=lease.lease_id, returned_units=1_000),), request_id="r3")
    assert funded.account().available == 2 * DOLLAR


def test_a_return_larger_than_what_is_out_frees_only_what_is_out(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    funded.take(Call(prompt_tokens=300, drawn=(Drawn(lease_id=lease.lease_id, units=300),)))
    funded.ask(returns=(LeaseReturn(lease_id=lease.lease_id, returned_units=9_999),), request_id="r1")
    assert funded.total("prc_in").outstanding == 0


def test_drawn_units_leave_the_lease_with_the_event_that_used_them(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    call = Call(prompt_tokens=300, drawn=(Drawn(lease_id=lease.lease_id, units=300),))
    funded.take(call, call)
    total = funded.total("prc_in")
    assert (total.settled, total.outstanding) == (Decimal(300), 700)


def test_earlier_epochs_are_freed_only_after_their_events_are_applied(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    late = Call(prompt_tokens=300, sequence=5, drawn=(Drawn(lease_id=lease.lease_id, units=300),))
    epoch = funded.open_epoch()
    with funded.database.begin() as transaction:
        request = ReleaseEarlierEpochs(gateway_id="gtw_1", epoch=epoch, through_sequence=5)
        release_earlier_epochs(transaction, request, now=NOW)
    assert funded.total("prc_in").outstanding == 1_000
    funded.take(late)
    assert funded.total("prc_in").outstanding == 0
    assert funded.account().reserved == 0


def test_earlier_epochs_are_freed_at_once_when_nothing_is_unsettled(funded: World) -> None:
    funded.lease("prc_in", 1_000)
    epoch = funded.open_epoch()
    with funded.database.begin() as transaction:
        request = ReleaseEarlierEpochs(gateway_id="gtw_1", epoch=epoch, through_sequence=0)
        release_earlier_epochs(transaction, request, now=NOW)
    assert funded.account().available == 2 * DOLLAR


def test_an_account_is_exhausted_only_when_nothing_is_out_and_nothing_is_affordable(database: Database) -> None:
    world = make_world(database, input_size=100)
    world.open_epoch()
    world.grant("0.50")
    assert not world.account().exhausted
    lease = world.lease("prc_in", 100)
    answer = world.ask(need("prc_in", 1), request_id="ask-2")
    assert (answer.refused, answer.outstanding) == (Refused.INSUFFICIENT, True)
    assert not world.account().exhausted
    world.take(Call(prompt_tokens=100, completion_tokens=0, drawn=(Drawn(lease_id=lease.lease_id, units=100),)))
    assert world.account().exhausted
    answer = world.ask(need("prc_in", 1), request_id="ask-3")
    assert (answer.refused, answer.outstanding) == (Refused.EXHAUSTED, False)
    world.grant("0.50", caller_id="grant-2")
    assert not world.account().exhausted


def test_a_new_prepaid_account_without_credit_is_exhausted(world: World) -> None:
    assert world.account().exhausted


def test_a_slice_leaves_half_of_what_is_left_for_other_gateways(database: Database) -> None:
    world = make_world(database, input_size=100)
    world.open_epoch()
    world.grant("5")
    answer = world.ask(need("prc_in", 100, slice_units=100_000))
    assert answer.leases[0].units == 500
    assert world.account().available == 2 * DOLLAR + DOLLAR // 2


def test_earlier_epochs_do_not_wait_for_an_event_that_was_set_aside(funded: World) -> None:
    funded.lease("prc_in", 1_000)
    epoch = funded.open_epoch()
    with funded.database.begin() as transaction:
        request = ReleaseEarlierEpochs(gateway_id="gtw_1", epoch=epoch, through_sequence=2)
        release_earlier_epochs(transaction, request, now=NOW)
    funded.log(Call(request_id="a", prompt_tokens=10**25, sequence=1).body())
    funded.log(Call(request_id="b", sequence=2).body().replace(b'"verb":"POST"', b'"verb":7'))
    funded.apply()
    assert [row["reason"] for row in funded.rows("set_aside")] == ["unappliable", "malformed"]
    assert funded.total("prc_in").outstanding == 0


@pytest.mark.parametrize(
    "units",
    [
        (need("prc_in", 10), need("prc_in", 10)),
        (need("prc_in", 10, floor=11),),
        (need("prc_in", -1),),
        (need("prc_in", 10, slice_units=9),),
    ],
)
def test_units_that_make_no_sense_are_refused_by_name(funded: World, units: tuple[UnitRequest, ...]) -> None:
    with pytest.raises(InvalidInput, match="units"):
        funded.ask(*units)


def test_a_request_whose_answer_was_lost_is_given_up_and_its_units_are_free(funded: World) -> None:
    funded.lease("prc_in", 1_000, request_id="lost")
    assert funded.ask(request_id="r1", given_up=("lost",)).refused is None
    assert funded.account().reserved == 0


def test_a_request_that_was_given_up_gets_nothing_when_it_arrives_late(funded: World) -> None:
    funded.ask(request_id="r1", given_up=("late",))
    funded.ask(request_id="r2", given_up=("late",))
    assert funded.ask(need("prc_in", 1_000), request_id="late").leases == []
    assert funded.account().reserved == 0


def test_a_gateway_cannot_give_up_what_another_was_granted(funded: World) -> None:
    funded.open_epoch("gtw_2")
    funded.lease("prc_in", 1_000)
    funded.ask(request_id="r1", gateway_id="gtw_2", given_up=("ask-1",))
    assert funded.total("prc_in").outstanding == 1_000


@pytest.mark.parametrize("days", [2, -40])
def test_what_a_call_drew_is_used_up_though_its_event_cannot_count_once_however_often_it_comes(
    funded: World, days: int
) -> None:
    lease = funded.lease("prc_in", 1_000)
    drawn = (Drawn(lease_id=lease.lease_id, units=400),)
    call = Call(prompt_tokens=400, occurred_at=NOW + timedelta(days=days), drawn=drawn)
    funded.take(call, call)
    funded.take(call)
    assert (funded.total("prc_in").settled, funded.total("prc_in").outstanding) == (Decimal(0), 600)


def test_what_a_call_drew_is_used_up_though_its_event_cannot_be_applied_once_however_often_it_comes(
    funded: World,
) -> None:
    lease = funded.lease("prc_in", 1_000)
    drawn = (Drawn(lease_id=lease.lease_id, units=400),)
    call = Call(prompt_tokens=10**25, drawn=drawn)
    funded.take(call)
    funded.take(call)
    assert (funded.total("prc_in").settled, funded.total("prc_in").outstanding) == (Decimal(0), 600)


def test_what_a_call_drew_is_used_up_though_its_event_is_in_conflict_with_another_of_the_call(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    drawn = (Drawn(lease_id=lease.lease_id, units=400),)
    first, other = (
        Call(prompt_tokens=400, drawn=drawn, sequence=1),
        Call(prompt_tokens=300, drawn=drawn, sequence=2),
    )
    funded.take(first, other)
    funded.take(other)
    assert (funded.total("prc_in").settled, funded.total("prc_in").outstanding) == (Decimal(400), 200)
