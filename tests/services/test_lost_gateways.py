"""What a gateway holds that does not come back: suspended, until somebody says what became of it."""

from datetime import timedelta

import pytest

from faregate.base.errors import Conflict, NotFound
from faregate.domain.ledger.lost_units import LostUnits
from faregate.services.lost_gateways import find_lost, read_standings, settle_lost
from faregate.storage.gateways import note_heard
from faregate.wire.gateway_protocol import Drawn, Refused
from tests.services.world import DOLLAR, NOW, Call, SteppedClock, World, need

LONG_AGO = timedelta(days=1)
GRACE = timedelta(hours=1)


@pytest.fixture
def funded(world: World) -> World:
    """Two dollars, and a lease of an open package of half a dollar at a gateway that was last heard now."""
    world.open_epoch()
    world.grant("2")
    world.lease("prc_in", 1_000)
    return world


def settle(world: World, units: LostUnits, *, after: timedelta = LONG_AGO, gateway_id: str = "gtw_1") -> None:
    with world.database.begin() as transaction:
        settle_lost(transaction, clock=SteppedClock(NOW + after), gateway_id=gateway_id, units=units)


def test_a_gateways_standing_names_the_money_that_would_be_available_without_its_units(funded: World) -> None:
    funded.open_epoch("gtw_2")
    funded.ask(need("prc_in", 500), request_id="ask-2", gateway_id="gtw_2")
    funded.ask(need("prc_out", 500), request_id="ask-3", gateway_id="gtw_2")
    with funded.database.snapshot() as transaction:
        first, second = read_standings(transaction, wall_now=NOW)
    # Both hold units of the one open package: without those of one, the other's still cost it.
    assert (first.units, dict(first.suspended), first.is_connected) == (1_000, {"USD": "0.00"}, True)
    assert (second.units, dict(second.suspended)) == (1_000, {"USD": "1.50"})


def test_units_of_a_gateway_that_was_not_heard_for_the_grace_are_found(funded: World) -> None:
    with funded.database.begin() as transaction:
        assert find_lost(transaction, wall_now=NOW + GRACE, grace=GRACE) == []
        (lost,) = find_lost(transaction, wall_now=NOW + GRACE + timedelta(seconds=1), grace=GRACE)
        assert (lost.row.gateway_id, dict(lost.suspended)) == ("gtw_1", {"USD": "0.50"})
        note_heard(transaction, ["gtw_1"], at=NOW + GRACE)
        assert find_lost(transaction, wall_now=NOW + GRACE + timedelta(seconds=1), grace=GRACE) == []


def test_the_grace_is_never_shorter_than_a_lease_and_the_longest_call(funded: World) -> None:
    with funded.database.snapshot() as transaction:
        assert find_lost(transaction, wall_now=NOW + timedelta(seconds=29), grace=timedelta()) == []
        assert len(find_lost(transaction, wall_now=NOW + timedelta(seconds=31), grace=timedelta())) == 1


def test_released_units_are_free_and_the_gateway_is_fenced(funded: World) -> None:
    settle(funded, LostUnits.RELEASE)
    assert (funded.account().balance, funded.account().reserved) == (2 * DOLLAR, 0)
    assert funded.ask(need("prc_in", 1), request_id="ask-2", epoch=1).refused is Refused.FENCED


def test_charged_units_cost_what_they_could_at_most_once(funded: World) -> None:
    settle(funded, LostUnits.CHARGE)
    settle(funded, LostUnits.CHARGE)
    assert (funded.account().balance, funded.account().reserved) == (DOLLAR * 3 // 2, 0)
    assert [(row["kind"], row["amount"]) for row in funded.rows("ledger_entry")] == [
        ("grant", 2 * DOLLAR),
        ("adjust", -DOLLAR // 2),
    ]


def test_units_that_are_kept_stay_reserved(funded: World) -> None:
    settle(funded, LostUnits.KEEP)
    assert funded.account().reserved == DOLLAR // 2
    assert funded.ask(need("prc_in", 1), request_id="ask-2").refused is None


def test_events_of_a_gateway_that_comes_back_after_all_are_charged_once(funded: World) -> None:
    (lease,) = funded.rows("lease")
    settle(funded, LostUnits.RELEASE)
    late = Call(prompt_tokens=900, drawn=(Drawn(lease_id=str(lease["lease_id"]), units=900),))
    funded.take(late, late)
    assert (funded.debits(), funded.account().reserved) == (DOLLAR // 2 + 3 * DOLLAR // 2, 0)


def test_a_gateway_that_is_connected_is_left_alone(funded: World) -> None:
    with pytest.raises(Conflict):
        settle(funded, LostUnits.RELEASE, after=timedelta(seconds=10))
    assert funded.account().reserved == DOLLAR // 2


def test_a_gateway_that_nobody_knows_is_not_found(funded: World) -> None:
    with pytest.raises(NotFound):
        settle(funded, LostUnits.RELEASE, gateway_id="gtw_9")
