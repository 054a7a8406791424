from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.limits import MAX_LEASE_UNITS, MAX_LEDGER_UNITS
from faregate.domain.catalog.adjustments import Adjustments
from faregate.domain.catalog.models import ByDimension, Flat, LeafModel, Package, Percentage, PerUnit, Tier, Volume
from faregate.domain.catalog.price import Price
from faregate.domain.ledger.reserve import (
    PriceUse,
    affordable_units,
    further_cost,
    is_affordable,
    is_exhausted,
    reserved_amount,
    why_unreservable,
)
from faregate.domain.pricing.rating import debit_total, priced_keys
from tests.builders import a_price, a_use, priced
from tests.domain.pricing.models import MODELS, adjustment_sets, per_units, prices_of

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


def slow_maximum(use: PriceUse) -> int:
    """Try every way in which up to all outstanding units may be used; of a table, every row for each of them."""
    settled = debit_total(use.price, use.totals)
    keys = list(priced_keys(use.price.model))
    reached = [dict(use.totals)]
    most = 0
    for _ in range(use.outstanding):
        grown = [totals | {key: totals.get(key, Decimal(0)) + 1} for totals in reached for key in keys]
        reached = [dict(found) for found in {tuple(sorted(totals.items())) for totals in grown}]
        most = max(most, *(debit_total(use.price, totals) - settled for totals in reached))
    return most


@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
def test_reserved_is_the_slow_maximum_for_every_model(model: str, data: st.DataObject) -> None:
    price = data.draw(prices_of(model))
    settled = data.draw(st.decimals(min_value=0, max_value=60, places=1))
    use = a_use(price, settled=settled, outstanding=data.draw(st.integers(min_value=0, max_value=40)))
    assert reserved_amount(use) == slow_maximum(use)


@given(data=st.data())
def test_reserved_is_the_slow_maximum_for_a_table_of_unit_prices(data: st.DataObject) -> None:
    table: dict[tuple[str, ...], LeafModel] = data.draw(
        st.dictionaries(st.sampled_from([("a",), ("b",)]), per_units, min_size=1)
    )
    model = ByDimension(fields=("user_id",), table=table, default=data.draw(st.none() | per_units))
    price = priced(model, data.draw(adjustment_sets()))
    totals = {key: data.draw(st.integers(0, 40).map(Decimal)) for key in priced_keys(model)}
    use = PriceUse(price=price, totals=totals, outstanding=data.draw(st.integers(min_value=0, max_value=12)))
    assert reserved_amount(use) == slow_maximum(use)


@pytest.mark.parametrize(
    ("price", "why"),
    [
        (a_price(), None),
        (priced(Volume(tiers=(Tier(up_to=None, unit=Decimal(1)),))), None),
        (priced(ByDimension(fields=("user_id",), table={("a",): PerUnit(amount=Decimal(1))}, default=None)), None),
        (priced(Flat(amount=Decimal(1))), "even if nothing is used"),
        (priced(PerUnit(amount=Decimal(1)), Adjustments(minimum_spend=Decimal(1))), "even if nothing is used"),
        (priced(Percentage(percent=Decimal(1))), "only after the call"),
        (
            priced(
                ByDimension(
                    fields=("user_id",), table={("a",): Package(amount=Decimal(1), size=Decimal(2))}, default=None
                )
            ),
            "by dimension",
        ),
    ],
)
def test_a_price_says_why_a_calls_cost_has_no_bound(price: Price, why: str | None) -> None:
    reason = why_unreservable(price)
    assert reason is None if why is None else reason is not None and why in reason


def test_a_percentage_is_exhausted_when_nothing_is_left() -> None:
    use = a_use(priced(Percentage(percent=Decimal(1))))
    assert is_exhausted([use], available=0)
    assert not is_exhausted([use], available=1)


def test_a_table_is_exhausted_when_not_even_its_cheapest_row_is_affordable() -> None:
    table: dict[tuple[str, ...], LeafModel] = {
        ("small",): PerUnit(amount=Decimal(1)),
        ("large",): PerUnit(amount=Decimal(5)),
    }
    use = PriceUse(price=priced(ByDimension(fields=("user_id",), table=table, default=None)), totals={}, outstanding=0)
    assert not is_exhausted([use], available=DOLLAR)
    assert is_exhausted([use], available=DOLLAR - 1)


def test_a_further_unit_that_the_ledger_cannot_hold_is_not_affordable() -> None:
    use = a_use(a_price("1000000000", 1), settled=9)
    assert is_exhausted([use], available=MAX_LEDGER_UNITS)


@given(uses)
def test_reserved_is_the_most_that_any_part_of_the_outstanding_units_can_cost(use: PriceUse) -> None:
    assert reserved_amount(use) == slow_maximum(use)


@given(uses, st.lists(st.integers(min_value=0, max_value=20), max_size=6))
def test_taking_units_in_parts_costs_what_taking_them_at_once_does(use: PriceUse, parts: list[int]) -> None:
    cost, grown = 0, use
    for part in parts:
        cost += further_cost(grown, part)
        grown = grown.with_more(part)
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
