from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.ledger.burning import Burn, Grant, GrantKind, burn, burn_order, credits_worth, restore
from faregate.domain.ledger.holding import Ended, Held, HoldEnd, Insufficient, end_hold, place_hold, settle_hold
from tests.builders import NOON

DAY = timedelta(days=1)


def a_grant(grant_id: str = "g", amount: int = 100, *, sequence: int = 0) -> Grant:
    return Grant(grant_id=grant_id, amount=amount, kind=GrantKind.PROMOTIONAL, effective_at=NOON, sequence=sequence)


lots = st.lists(st.integers(min_value=0, max_value=50), max_size=6).map(
    lambda amounts: [a_grant(f"g{index}", amount, sequence=index) for index, amount in enumerate(amounts)]
)
spends = st.integers(min_value=0, max_value=200)


def balances_of(grants: Sequence[Grant]) -> dict[str, int]:
    return {grant.grant_id: grant.amount for grant in grants}


def test_grants_burn_by_priority_expiry_kind_start_and_age() -> None:
    first = replace(a_grant("priority"), priority=-1)
    second = replace(a_grant("expires soonest"), expires_at=NOON + DAY)
    third = replace(a_grant("expires later"), expires_at=NOON + 2 * DAY, kind=GrantKind.PAID)
    fourth = replace(a_grant("starts first"), effective_at=NOON - DAY, sequence=9)
    fifth, sixth = a_grant("older", sequence=1), a_grant("younger", sequence=2)
    seventh = replace(a_grant("paid"), kind=GrantKind.PAID, effective_at=NOON - 9 * DAY)
    order = [first, second, third, fourth, fifth, sixth, seventh]
    assert burn_order(reversed(order)) == order


def test_a_grant_can_be_spent_from_its_start_until_it_expires_or_is_voided() -> None:
    grant = replace(a_grant(), expires_at=NOON + 2 * DAY)
    assert [grant.is_active(NOON + days * DAY) for days in (-1, 0, 1, 2)] == [False, True, True, False]
    voided = replace(grant, voided_at=NOON + DAY)
    assert not voided.is_active(NOON + DAY)


@given(lots, spends)
def test_what_is_burnt_and_what_is_missing_make_the_amount(grants: list[Grant], amount: int) -> None:
    burns, missing = burn(grants, balances_of(grants), amount)
    assert sum(taken.amount for taken in burns) + missing == amount
    assert missing == max(0, amount - sum(grant.amount for grant in grants))
    assert all(0 < taken.amount <= balances_of(grants)[taken.grant_id] for taken in burns)


@given(lots, spends, spends)
def test_what_stays_burnt_is_what_burning_less_would_have_taken(grants: list[Grant], amount: int, back: int) -> None:
    burns, missing = burn(grants, balances_of(grants), amount)
    kept, returned = restore(burns, back)
    burnt = amount - missing
    assert sum(taken.amount for taken in returned) == min(back, burnt)
    assert kept == burn(grants, balances_of(grants), max(0, burnt - back))[0]


@given(lots, spends, spends)
def test_a_hold_settled_for_less_is_as_if_only_that_had_been_taken(grants: list[Grant], amount: int, used: int) -> None:
    held = place_hold(grants, balances_of(grants), amount)
    burns, missing = burn(grants, balances_of(grants), amount)
    if missing:
        assert held == Insufficient(missing=missing)
        return
    assert isinstance(held, Held)
    assert held.hold == replace(held.hold, burns=tuple(burns))
    settled = settle_hold(held, grants, used)
    assert isinstance(settled, Held)
    taken, overage = burn(grants, balances_of(grants), used)
    assert settled.overage == overage
    assert settled.balances == {
        grant.grant_id: grant.amount - sum(one.amount for one in taken if one.grant_id == grant.grant_id)
        for grant in grants
    }


def test_a_hold_ends_once() -> None:
    grants = [a_grant()]
    held = place_hold(grants, balances_of(grants), 8)
    assert isinstance(held, Held)
    settled = settle_hold(held, grants, 4)
    assert isinstance(settled, Held)
    assert settled.balances == {"g": 96}
    assert settle_hold(settled, grants, 4) == Ended(end=HoldEnd.SETTLED)
    assert end_hold(settled, HoldEnd.EXPIRED) == Ended(end=HoldEnd.SETTLED)


def test_a_released_hold_restores_the_balance() -> None:
    grants = [a_grant()]
    held = place_hold(grants, balances_of(grants), 8)
    assert isinstance(held, Held)
    released = end_hold(held, HoldEnd.RELEASED)
    assert isinstance(released, Held)
    assert released.balances == {"g": 100}
    assert released.hold.amount == 0


def test_without_a_grant_only_a_hold_of_nothing_can_be_placed() -> None:
    assert isinstance(place_hold([], {}, 1), Insufficient)
    assert isinstance(place_hold([], {}, 0), Held)


def test_credits_are_worth_their_rate_exactly() -> None:
    assert credits_worth(Decimal(100), Decimal("1.123456")) == Decimal("112.3456")


def test_giving_back_more_than_was_burnt_gives_back_all() -> None:
    assert restore([Burn(grant_id="a", amount=3)], 5) == ([], [Burn(grant_id="a", amount=3)])
