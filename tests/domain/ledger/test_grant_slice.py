from hypothesis import given
from hypothesis import strategies as st

from faregate.base.limits import MAX_LEASE_UNITS, MAX_LEDGER_UNITS
from faregate.domain.ledger.grant_slice import UnitNeed, is_final, share_out
from faregate.domain.ledger.reserve import PriceUse, affordable_units, further_cost
from tests.builders import a_need, a_price, a_use

DOLLAR = 1_000_000_000

uses = st.builds(
    a_use,
    st.builds(a_price, st.decimals(min_value=0, max_value=2, places=10), st.integers(min_value=1, max_value=30)),
    settled=st.decimals(min_value=0, max_value=50, places=1),
    outstanding=st.integers(min_value=0, max_value=50),
)
unit_counts = st.lists(st.integers(min_value=0, max_value=100), min_size=3, max_size=3).map(sorted)
some_needs = st.lists(
    st.builds(lambda use, units: a_need(use, floor=units[0], call=units[1], slice_units=units[2]), uses, unit_counts),
    min_size=1,
    max_size=3,
)
balances = st.integers(min_value=-DOLLAR, max_value=60 * DOLLAR)


def cost(needs: list[UnitNeed], units: list[int]) -> int:
    return sum(further_cost(need.use, count) for need, count in zip(needs, units, strict=True))


@given(some_needs, balances)
def test_what_is_granted_never_costs_more_than_is_available(needs: list[UnitNeed], available: int) -> None:
    granted = share_out(needs, available=available)
    if granted is not None:
        assert cost(needs, granted) <= max(available, 0)


@given(some_needs, balances)
def test_every_need_gets_its_floor_and_at_most_its_slice(needs: list[UnitNeed], available: int) -> None:
    granted = share_out(needs, available=available)
    if granted is not None:
        assert all(need.floor <= units <= need.slice for need, units in zip(needs, granted, strict=True))


@given(some_needs, balances)
def test_nothing_is_granted_only_when_the_floors_cost_more_than_is_available(
    needs: list[UnitNeed], available: int
) -> None:
    floors = cost(needs, [need.floor for need in needs])
    assert (share_out(needs, available=available) is None) == (floors > max(available, 0))


@given(some_needs, balances)
def test_calls_that_can_be_paid_are_granted_in_full(needs: list[UnitNeed], available: int) -> None:
    calls = [need.call for need in needs]
    granted = share_out(needs, available=available)
    if granted is not None and cost(needs, calls) <= available:
        assert all(units >= call for units, call in zip(granted, calls, strict=True))


@given(uses, unit_counts, balances)
def test_a_slice_takes_at_most_half_of_what_the_call_leaves(use: PriceUse, units: list[int], available: int) -> None:
    need = a_need(use, floor=units[0], call=units[1], slice_units=units[2])
    granted = share_out([need], available=available)
    if granted is not None:
        call = affordable_units(need.use, budget=max(available, 0), most=need.call)
        left = max(available, 0) - further_cost(need.use, call)
        assert cost([need], granted) - further_cost(need.use, call) <= left // 2


def test_one_cent_a_unit_and_one_dollar_grant_the_call_and_half_of_the_rest() -> None:
    need = a_need(a_use(a_price("0.01", 1)), floor=10, call=40, slice_units=1_000)
    assert share_out([need], available=DOLLAR) == [40 + 30]


def test_both_prices_are_granted_or_none() -> None:
    needs = [
        a_need(a_use(a_price("0.60", 10, price_id="prc_1")), floor=1, call=1, slice_units=1),
        a_need(a_use(a_price("0.60", 10, price_id="prc_2")), floor=1, call=1, slice_units=1),
    ]
    assert share_out(needs, available=DOLLAR) is None
    assert share_out(needs, available=DOLLAR + DOLLAR // 5) == [1, 1]


def test_a_paid_remainder_is_granted_though_the_balance_is_below_zero() -> None:
    need = a_need(a_use(a_price("0.50", 100), settled=60), floor=10, call=30, slice_units=500)
    assert share_out([need], available=-DOLLAR) == [40]


def test_a_slice_smaller_than_the_call_takes_nothing_back() -> None:
    need = a_need(a_use(a_price("0.01", 1)), floor=1, call=40, slice_units=20)
    assert share_out([need], available=DOLLAR) == [40]


def test_a_call_smaller_than_its_floor_gets_the_floor() -> None:
    need = a_need(a_use(a_price("0.01", 1)), floor=5, call=1, slice_units=1)
    assert share_out([need], available=DOLLAR) == [5]


def test_a_request_that_no_ledger_could_pay_is_cut_or_refused() -> None:
    use = a_use(a_price("1", 1))
    greedy = a_need(use, floor=1, call=MAX_LEASE_UNITS, slice_units=MAX_LEASE_UNITS)
    assert share_out([greedy], available=5 * DOLLAR) == [5]
    assert share_out([a_need(use, floor=MAX_LEASE_UNITS)], available=MAX_LEDGER_UNITS) is None


@given(uses, unit_counts, balances, st.integers(min_value=1, max_value=9))
def test_slices_of_all_gateways_together_take_at_most_half_of_what_calls_leave(
    use: PriceUse, units: list[int], available: int, gateways: int
) -> None:
    need = a_need(use, floor=units[0], call=units[1], slice_units=units[2])
    granted = share_out([need], available=available, gateways=gateways)
    if granted is not None:
        call = affordable_units(need.use, budget=max(available, 0), most=need.call)
        left = max(available, 0) - further_cost(need.use, call)
        assert (cost([need], granted) - further_cost(need.use, call)) * gateways <= left // 2


@given(some_needs, balances)
def test_what_is_granted_is_final_unless_as_much_again_is_affordable(needs: list[UnitNeed], available: int) -> None:
    granted = share_out(needs, available=available)
    if granted is not None:
        in_full = granted == [need.slice for need in needs]
        again = cost(needs, [2 * units for units in granted])
        assert is_final(needs, granted, available=available) == (not in_full or again > available)
