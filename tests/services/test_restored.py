"""A ledger that was put back to an earlier state grants nothing until what it does not know of has ended."""

from datetime import timedelta

import pytest

from faregate.services.gateway_calls import lease_units, open_gateway
from faregate.services.restored import SUSPENDED_FOR, note_restored
from faregate.services.state_stream import newest_generation
from faregate.wire.gateway_epochs import EpochOpened, OpenEpoch
from faregate.wire.gateway_protocol import LeaseAnswer, LeaseRequest, LeaseReturn, Refused
from tests.services.world import DOLLAR, NOW, SUBSCRIPTION, Call, World, need


@pytest.fixture
def funded(world: World) -> World:
    world.open_epoch()
    world.grant("2")
    return world


def restored(world: World) -> int:
    with world.database.begin() as transaction:
        return note_restored(transaction, world.clock)


def ask(world: World, *, returns: tuple[LeaseReturn, ...] = (), units: int = 10, epoch: int = 1) -> LeaseAnswer:
    request = LeaseRequest(
        lease_request_id=world.new_id("lrq"),
        gateway_id="gtw_1",
        epoch=epoch,
        returns=list(returns),
        subscription_id=SUBSCRIPTION,
        units=[need("prc_in", units)] if units else [],
    )
    with world.database.begin() as transaction:
        return lease_units(transaction, [request], world.clock, gateways=1)[0]


def open_epoch(world: World, *, epoch: int, is_all_applied: bool = True) -> EpochOpened:
    request = OpenEpoch(gateway_id="gtw_1", epoch=epoch)
    with world.database.begin() as transaction:
        return open_gateway(transaction, request, world.clock, is_all_applied=is_all_applied)


def test_each_restore_raises_the_generation(funded: World) -> None:
    assert [restored(funded), restored(funded)] == [2, 3]
    with funded.database.snapshot() as transaction:
        assert newest_generation(transaction) == 3


def test_no_lease_is_granted_until_the_longest_one_and_its_grace_are_over(funded: World) -> None:
    lease = funded.lease("prc_in", 1_000)
    restored(funded)
    funded.clock.at = NOW + SUSPENDED_FOR - timedelta(microseconds=1)
    answer = ask(funded)
    assert (answer.refused, answer.outstanding) == (Refused.SUSPENDED, True)
    # What comes back is taken all the same.
    ask(funded, returns=(LeaseReturn(lease_id=lease.lease_id, returned_units=1_000),), units=0)
    assert (funded.account().reserved, funded.account().available) == (0, 2 * DOLLAR)
    funded.clock.at = NOW + SUSPENDED_FOR
    assert ask(funded).refused is None


def test_a_process_that_lives_on_gets_an_epoch_above_its_own_and_hears_what_the_ledger_has(funded: World) -> None:
    funded.take(Call(sequence=7))
    opened = open_epoch(funded, epoch=5)
    assert (opened.epoch, opened.applied_sequence) == (6, 7)
    assert open_epoch(funded, epoch=2).epoch == 7
    assert open_epoch(funded, epoch=0, is_all_applied=False).applied_sequence is None


def test_a_gateway_that_the_restored_ledger_never_knew_keeps_counting_its_epochs(world: World) -> None:
    opened = open_epoch(world, epoch=5)
    assert (opened.epoch, opened.applied_sequence) == (6, 0)
