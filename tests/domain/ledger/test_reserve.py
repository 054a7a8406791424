from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.limits import MAX_LEASE_UNITS, MAX_LEDGER_UNITS
from faregate.domain.ledger.reserve import (
    PriceUse,
    affordable_units,
    further_cost,
    is_affordable,
    is_exhausted,
    reserved_amount,
)
from faregate.domain.pricing.rating import debit_total
from tests.builders import a_price, a_use

DOLLAR = 1_000_000_000

prices = st.builds(
    a_price,
    st.decimals(min_value=0, max_value=2, places=10),
    st.integers(min_value=1, max_value=12),
    code=st.sampled_from(["USD", "JPY", "IDR"]),
)
uses = st.builds(
    a_use,
    prices,
    settled=st.decimals(min_value=0, max_value=40, places=2),
    outstanding=st.integers(min_value=0, max_value=40),
)
large_uses = st.builds(
    a_use,
    st.builds(
        a_price,
        st.decimals(min_value=0, max_value=1_000, places=12),
        st.integers(min_value=1, max_value=10**9),
    ),
    settled=st.integers(min_value=0, max_value=10**6),
    outstanding=st.integers(min_value=0, max_value=10**3),
)


@given(uses)
def test_reserved_is_the_most_that_any_part_of_the_outstanding_units_can_cost(use: PriceUse) -> None:
    settled = debit_total(use.price, use.settled)
    costs = [debit_total(use.price, use.settled + n) - settled for n in range(use.outstanding + 1)]
    assert reserved_amount(use) == max(costs)


@given(uses, st.lists(st.integers(min_value=0, max_value=20), max_size=6))
def test_taking_units_in_parts_costs_what_taking_them_at_once_does(use: PriceUse, parts: list[int]) -> None:
    cost, grown = 0, use
    for part in parts:
        cost += further_cost(grown, part)
        grown = PriceUse(price=use.price, settled=use.settled, outstanding=grown.outstanding + part)
    assert cost == further_cost(use, sum(parts))


@given(uses)
def test_no_further_unit_costs_nothing(use: PriceUse) -> None:
    assert further_cost(use, 0) == 0


@given(uses, st.integers(min_value=0, max_value=40 * DOLLAR), st.integers(min_value=0, max_value=60))
def test_affordable_units_are_the_most_that_the_budget_backs(use: PriceUse, budget: int, most: int) -> None:
    backed = [n for n in range(most + 1) if further_cost(use, n) <= budget]
    assert affordable_units(use, budget=budget, most=most) == max(backed)


@given(large_uses, st.integers(min_value=0, max_value=MAX_LEDGER_UNITS))
def test_one_unit_more_than_affordable_costs_more_than_the_budget(use: PriceUse, budget: int) -> None:
    units = affordable_units(use, budget=budget, most=MAX_LEASE_UNITS)
    assert is_affordable(use, units, budget=budget)
    assert units == MAX_LEASE_UNITS or not is_affordable(use, units + 1, budget=budget)


def test_a_budget_below_zero_backs_no_unit_that_costs() -> None:
    assert affordable_units(a_use(), budget=-1, most=10) == 0


def test_units_that_cost_more_than_the_ledger_holds_are_not_affordable() -> None:
    use = a_use(a_price("1", 1))
    assert not is_affordable(use, MAX_LEASE_UNITS, budget=MAX_LEDGER_UNITS)
    assert affordable_units(use, budget=3 * DOLLAR, most=MAX_LEASE_UNITS) == 3


def test_the_open_packages_remainder_is_reserved_at_no_cost() -> None:
    use = a_use(a_price("0.50", 1_000), settled=1)
    assert further_cost(use, 999) == 0
    assert further_cost(use, 1_000) == DOLLAR // 2


def test_units_in_a_lease_take_the_remainder_from_the_next() -> None:
    use = a_use(a_price("0.50", 1_000), settled=1, outstanding=999)
    assert reserved_amount(use) == 0
    assert further_cost(use, 1) == DOLLAR // 2


def test_an_account_is_exhausted_one_ledger_unit_short_of_the_next_package() -> None:
    uses = [a_use(a_price("0.50", 1_000))]
    assert not is_exhausted(uses, available=DOLLAR // 2)
    assert is_exhausted(uses, available=DOLLAR // 2 - 1)


@pytest.mark.parametrize("available", [0, -DOLLAR])
def test_a_paid_remainder_keeps_an_account_from_being_exhausted(available: int) -> None:
    assert not is_exhausted([a_use(a_price("0.50", 1_000), settled=999)], available=available)
    assert is_exhausted([a_use(a_price("0.50", 1_000), settled=1_000)], available=available)


def test_units_out_in_a_lease_keep_an_account_from_being_exhausted() -> None:
    price = a_price("0.50", 1_000)
    assert not is_exhausted([a_use(price, settled=1_000, outstanding=1_000)], available=0)
    assert is_exhausted([a_use(price, settled=2_000)], available=0)


def test_an_account_is_exhausted_only_when_every_price_is() -> None:
    spent, open_package = a_use(settled=0), a_use(settled=Decimal("0.5"))
    assert is_exhausted([spent, spent], available=0)
    assert not is_exhausted([spent, open_package], available=0)


def test_an_account_without_a_metered_price_is_never_exhausted() -> None:
    assert not is_exhausted([], available=-DOLLAR)


def test_a_price_of_nothing_is_never_exhausted() -> None:
    assert not is_exhausted([a_use(a_price("0", 1_000))], available=0)
