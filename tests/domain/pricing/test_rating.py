from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_AMOUNT_PLACES, MAX_PACKAGE_SIZE, MAX_QUANTITY_DIGITS
from faregate.base.money import EXACT, to_ledger_units, to_minor_units
from faregate.domain.catalog.price import Package, Price
from faregate.domain.pricing.package import packages_begun
from faregate.domain.pricing.rating import debit_total, line_amount, rate, units_paid_ahead
from tests.builders import a_price

amounts = st.decimals(min_value=0, max_value=10, places=MAX_AMOUNT_PLACES)
prices = st.builds(
    lambda amount, size, code: a_price(amount, size, code=code),
    amounts,
    st.integers(min_value=1, max_value=50),
    st.sampled_from(["USD", "JPY", "KWD", "IDR"]),
)
quantities = st.decimals(min_value=0, max_value=200, places=3) | st.integers(min_value=0, max_value=200).map(Decimal)


def unit_by_unit(model: Package, total: int) -> tuple[Decimal, int]:
    """Rate as a clerk would: every unit in turn, a new package whenever none is open. Returns amount and units left."""
    amount, left = Decimal(0), 0
    for _ in range(total):
        if left == 0:
            amount, left = EXACT.add(amount, model.amount), int(model.size)
        left -= 1
    return amount, left


def debits(price: Price, parts: Sequence[Decimal]) -> list[int]:
    """What each part is charged when it comes: q(rate(after)) - q(rate(before))."""
    charged, total, before = [], Decimal(0), 0
    for part in parts:
        total = EXACT.add(total, part)
        after = debit_total(price, total)
        charged.append(after - before)
        before = after
    return charged


def sum_of(parts: Sequence[Decimal]) -> Decimal:
    total = Decimal(0)
    for part in parts:
        total = EXACT.add(total, part)
    return total


@given(prices, st.integers(min_value=0, max_value=300))
def test_rating_equals_counting_unit_by_unit(price: Price, total: int) -> None:
    amount, left = unit_by_unit(price.model, total)
    assert rate(price, Decimal(total)) == amount
    assert units_paid_ahead(price, Decimal(total)) == left


@given(prices, st.lists(quantities, max_size=12))
def test_rating_in_parts_equals_rating_at_once(price: Price, parts: list[Decimal]) -> None:
    total = sum_of(parts)
    assert sum(debits(price, parts)) == debit_total(price, total) == to_ledger_units(rate(price, total), price.currency)


@given(
    prices, st.lists(quantities, min_size=1, max_size=12).flatmap(lambda p: st.tuples(st.just(p), st.permutations(p)))
)
def test_the_order_of_the_parts_changes_nothing(price: Price, orders: tuple[list[Decimal], list[Decimal]]) -> None:
    as_sent, shuffled = orders
    assert sum(debits(price, as_sent)) == sum(debits(price, shuffled))


@given(prices, st.lists(quantities, max_size=12))
def test_no_debit_is_negative(price: Price, parts: list[Decimal]) -> None:
    assert all(debit >= 0 for debit in debits(price, parts))


@given(prices, quantities)
def test_every_begun_package_costs_the_whole_package(price: Price, total: Decimal) -> None:
    begun = ceil(Fraction(total) / Fraction(price.model.size))
    assert packages_begun(price.model, total) == begun
    assert Fraction(rate(price, total)) == begun * Fraction(price.model.amount)


@given(prices, quantities)
def test_units_paid_ahead_cost_nothing_and_the_next_one_costs_a_package(price: Price, total: Decimal) -> None:
    ahead = units_paid_ahead(price, total)
    assert 0 <= ahead < price.model.size
    full = EXACT.add(total, ahead)
    assert rate(price, full) == rate(price, total)
    assert rate(price, EXACT.add(full, 1)) == EXACT.add(rate(price, total), price.model.amount)


@given(prices, quantities)
def test_a_line_is_rounded_once(price: Price, total: Decimal) -> None:
    assert line_amount(price, total) == to_minor_units(rate(price, total), price.currency)


@pytest.mark.parametrize(
    ("total", "amount", "ahead"),
    [
        ("0", "0", "0"),
        ("-5", "0", "0"),
        ("0.001", "0.50", "999999.999"),
        ("1", "0.50", "999999"),
        ("1000000", "0.50", "0"),
        ("1000001", "1.00", "999999"),
        ("22361870", "11.50", "638130"),
    ],
)
def test_the_first_unit_of_a_package_costs_the_package(total: str, amount: str, ahead: str) -> None:
    price = a_price("0.50", 1_000_000)
    assert rate(price, Decimal(total)) == Decimal(amount)
    assert units_paid_ahead(price, Decimal(total)) == Decimal(ahead)


def test_a_sub_cent_price_accumulates_to_the_cent() -> None:
    price = a_price("0.0000000004", 1)
    parts = [Decimal(1)] * 10
    assert debits(price, parts) == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]
    assert sum(debits(price, parts)) == 4
    assert line_amount(price, Decimal(12_500_000)) == 1


def test_the_longest_quantity_is_rated_exactly() -> None:
    longest = Decimal("9" * MAX_QUANTITY_DIGITS)
    price = a_price("0.000000000001", MAX_PACKAGE_SIZE)
    assert packages_begun(price.model, longest) == 10 ** (MAX_QUANTITY_DIGITS - 15)
    assert units_paid_ahead(price, longest) == 1
    assert rate(price, longest) == 1_000
    single = Package(amount=Decimal(1), size=Decimal(1))
    assert packages_begun(single, EXACT.subtract(longest, Decimal("0.5"))) == longest


def test_a_total_that_costs_more_than_the_ledger_holds_is_refused() -> None:
    with pytest.raises(InvalidInput, match="larger than the ledger can hold"):
        debit_total(a_price("1", 1), Decimal(10**10))
