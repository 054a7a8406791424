from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_PACKAGE_SIZE, MAX_QUANTITY_DIGITS
from faregate.base.money import EXACT, from_minor_units, to_ledger_units, to_minor_units
from faregate.domain.catalog.adjustments import Adjustments, Commitment
from faregate.domain.catalog.models import ByDimension, Flat, Graduated, Package, PackageRounding, PerUnit, Tier, Volume
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.adjusting import least_spend
from faregate.domain.pricing.breakdown import PartKind, line_parts
from faregate.domain.pricing.package import packages_begun
from faregate.domain.pricing.paid_ahead import units_paid_ahead
from faregate.domain.pricing.rating import (
    OTHER,
    WHOLE,
    debit_total,
    is_due_without_usage,
    leaves,
    line_amount,
    priced_key,
    rate,
    rate_period,
    true_up,
    whole,
)
from tests.builders import a_price, priced
from tests.domain.pricing.models import (
    MODELS,
    added,
    clerk,
    clerk_adjusted,
    clerk_rounded,
    debits,
    keys_of,
    prices_of,
    quantities,
    table_prices,
)

every_model = pytest.mark.parametrize("model", MODELS)
wholes = st.integers(min_value=0, max_value=100)


@every_model
@given(data=st.data())
def test_rating_equals_counting_unit_by_unit(model: str, data: st.DataObject) -> None:
    price, total = data.draw(prices_of(model)), data.draw(wholes)
    billable = max(total - int(price.adjustments.included_units), 0)
    gross = clerk(price.model, billable)
    expected = clerk_adjusted(price.adjustments, gross)
    assert Fraction(rate(price, whole(Decimal(total)))) == (expected if total else 0)
    assert Fraction(rate_period(price, whole(Decimal(total)))) == max(expected, least_spend(price.adjustments))


@every_model
@given(data=st.data())
def test_rating_in_parts_equals_rating_at_once(model: str, data: st.DataObject) -> None:
    price, parts = data.draw(prices_of(model)), data.draw(st.lists(quantities, max_size=10))
    charged, totals = debits(price, [(WHOLE, part) for part in parts])
    assert sum(charged) == debit_total(price, totals)
    assert debit_total(price, totals) == clerk_rounded(Fraction(rate(price, totals)), price.currency.ledger_places)


@every_model
@given(data=st.data())
def test_the_order_of_the_parts_changes_nothing(model: str, data: st.DataObject) -> None:
    price, parts = data.draw(prices_of(model)), data.draw(st.lists(quantities, max_size=10))
    shuffled = data.draw(st.permutations(parts))
    assert sum(debits(price, [(WHOLE, part) for part in parts])[0]) == sum(
        debits(price, [(WHOLE, part) for part in shuffled])[0]
    )


@pytest.mark.parametrize("model", [model for model in MODELS if model != "volume"])
@given(data=st.data())
def test_more_never_costs_less_but_for_volume_tiers(model: str, data: st.DataObject) -> None:
    price, parts = data.draw(prices_of(model)), data.draw(st.lists(quantities, max_size=10))
    assert all(debit >= 0 for debit in debits(price, [(WHOLE, part) for part in parts])[0])


@every_model
@given(data=st.data())
def test_nothing_is_ever_paid_out_for_usage(model: str, data: st.DataObject) -> None:
    price, total = data.draw(prices_of(model)), data.draw(quantities)
    assert 0 <= rate(price, whole(total)) <= rate_period(price, whole(total))


@every_model
@given(data=st.data())
def test_a_line_is_rounded_once(model: str, data: st.DataObject) -> None:
    price, total = data.draw(prices_of(model)), data.draw(quantities)
    exact = Fraction(rate_period(price, whole(total)))
    assert line_amount(price, whole(total)) == clerk_rounded(exact, price.currency.minor_places)


@every_model
@given(data=st.data())
def test_the_parts_of_a_line_add_up_to_it(model: str, data: st.DataObject) -> None:
    price = data.draw(prices_of(model))
    totals = data.draw(quantities.map(whole) | st.just({}))
    parts = line_parts(price, totals)
    amount = added({(str(index),): part.amount for index, part in enumerate(parts)})
    assert amount == from_minor_units(line_amount(price, totals), price.currency)
    tiers = [part.quantity for part in parts if part.kind is PartKind.TIER and part.quantity is not None]
    if tiers and totals:
        assert sum(tiers) == max(totals[WHOLE] - price.adjustments.included_units, 0)


@given(st.sampled_from([*MODELS]).flatmap(prices_of), quantities)
def test_a_true_up_is_what_the_rounded_usage_lacks(price: Price, total: Decimal) -> None:
    lacks = true_up(price, whole(total))
    usage = line_amount(price, whole(total)) - lacks
    assert lacks >= 0
    assert usage + lacks == max(usage, to_minor_units(least_spend(price.adjustments), price.currency))


@given(table_prices, st.data())
def test_a_price_by_dimension_is_the_sum_of_its_rows(price: Price, data: st.DataObject) -> None:
    assert isinstance(price.model, ByDimension)
    keys = keys_of(price.model)
    parts = data.draw(st.lists(st.tuples(st.sampled_from(keys), wholes.map(Decimal)), max_size=8))
    charged, totals = debits(price, parts)
    assert sum(charged) == debit_total(price, totals)
    gross = sum(
        (
            clerk(leaf, max(int(totals[key]) - int(price.adjustments.included_units), 0))
            for key, leaf in zip(keys, leaves(price.model), strict=True)
            if totals.get(key)
        ),
        Fraction(0),
    )
    assert Fraction(rate(price, totals)) == clerk_adjusted(price.adjustments, gross)
    amount = added({(str(index),): part.amount for index, part in enumerate(line_parts(price, totals))})
    assert amount == from_minor_units(line_amount(price, totals), price.currency)


def test_a_value_that_the_table_does_not_name_is_priced_by_the_default_or_not_at_all() -> None:
    small = PerUnit(amount=Decimal(1))
    table = ByDimension(fields=("request.body.model",), table={("small",): small}, default=None)
    assert priced_key(table, ("small",)) == ("small",)
    assert priced_key(table, ("new",)) is None
    with_default = ByDimension(fields=table.fields, table=table.table, default=PerUnit(amount=Decimal(9)))
    assert priced_key(with_default, ("new",)) == (OTHER,)
    assert rate(priced(with_default), {("small",): Decimal(2), (OTHER,): Decimal(3)}) == 29
    assert priced_key(small, ()) == WHOLE


def test_a_total_of_a_row_that_the_table_lost_costs_nothing() -> None:
    table = ByDimension(fields=("request.body.model",), table={("small",): PerUnit(amount=Decimal(1))}, default=None)
    assert rate(priced(table), {("small",): Decimal(2), ("gone",): Decimal(3)}) == 2
    assert [part.dimension for part in line_parts(priced(table), {("gone",): Decimal(3)})] == []


@given(st.builds(a_price, st.decimals(0, 10, places=12), st.integers(1, 50)), quantities)
def test_units_paid_ahead_cost_nothing_and_the_next_one_costs_a_package(price: Price, total: Decimal) -> None:
    assert isinstance(price.model, Package)
    ahead = units_paid_ahead(price, whole(total))
    full = EXACT.add(total, ahead)
    assert 0 <= ahead < price.model.size
    assert rate(price, whole(full)) == rate(price, whole(total))
    assert rate(price, whole(EXACT.add(full, 1))) == EXACT.add(rate(price, whole(total)), price.model.amount)


@pytest.mark.parametrize(
    ("model", "included", "total", "ahead"),
    [
        (Package(amount=Decimal(1), size=Decimal(10)), 5, "0", "5"),
        (Package(amount=Decimal(1), size=Decimal(10)), 5, "6", "9"),
        (Package(amount=Decimal(1), size=Decimal(10), rounding=PackageRounding.DOWN), 0, "0", "9"),
        (Package(amount=Decimal(1), size=Decimal(10), rounding=PackageRounding.DOWN), 0, "9.5", "0"),
        (PerUnit(amount=Decimal(1)), 100, "40", "60"),
        (PerUnit(amount=Decimal(1)), 100, "140", "0"),
        (Flat(amount=Decimal(1)), 0, "7", "0"),
    ],
)
def test_included_units_and_the_rest_of_a_package_are_paid_ahead(
    model: PerUnit | Package | Flat, included: int, total: str, ahead: str
) -> None:
    price = priced(model, Adjustments(included_units=Decimal(included)))
    assert units_paid_ahead(price, whole(Decimal(total))) == Decimal(ahead)


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
    assert rate(price, whole(Decimal(total))) == Decimal(amount)
    assert units_paid_ahead(price, whole(Decimal(total))) == Decimal(ahead)


def test_a_sub_cent_price_accumulates_to_the_cent() -> None:
    price = a_price("0.0000000004", 1)
    charged, _ = debits(price, [(WHOLE, Decimal(1))] * 10)
    assert charged == [0, 1, 0, 1, 0, 0, 1, 0, 1, 0]
    assert sum(charged) == 4
    assert line_amount(price, whole(Decimal(12_500_000))) == 1


def test_the_longest_quantity_is_rated_exactly() -> None:
    longest = Decimal("9" * MAX_QUANTITY_DIGITS)
    price = a_price("0.000000000001", MAX_PACKAGE_SIZE)
    assert packages_begun(longest, Decimal(MAX_PACKAGE_SIZE)) == 10 ** (MAX_QUANTITY_DIGITS - 15)
    assert units_paid_ahead(price, whole(longest)) == 1
    assert rate(price, whole(longest)) == 1_000
    assert packages_begun(EXACT.subtract(longest, Decimal("0.5")), Decimal(1)) == longest


def test_a_total_that_costs_more_than_the_ledger_holds_is_refused() -> None:
    with pytest.raises(InvalidInput, match="larger than the ledger can hold"):
        debit_total(a_price("1", 1), whole(Decimal(10**10)))


@pytest.mark.parametrize(
    ("price", "due"),
    [
        (priced(Flat(amount=Decimal(5))), True),
        (priced(PerUnit(amount=Decimal(5))), False),
        (priced(PerUnit(amount=Decimal(5)), Adjustments(minimum_spend=Decimal(1))), True),
        (priced(PerUnit(amount=Decimal(5)), Adjustments(commitment=Commitment(amount=Decimal(1)))), True),
        (priced(Graduated(tiers=(Tier(up_to=None, unit=Decimal(1), flat=Decimal(2)),))), True),
        (priced(Volume(tiers=(Tier(up_to=None, unit=Decimal(1), flat=Decimal(2)),))), False),
        (priced(ByDimension(fields=("user_id",), table={("ann",): Flat(amount=Decimal(1))}, default=None)), False),
    ],
)
def test_flat_fees_minimums_and_commitments_are_due_without_usage(price: Price, due: bool) -> None:  # noqa: FBT001
    assert is_due_without_usage(price) is due


def test_overage_costs_more_beyond_the_commitment() -> None:
    price = priced(
        PerUnit(amount=Decimal(1)), Adjustments(commitment=Commitment(amount=Decimal(100), overage=Decimal("1.5")))
    )
    assert rate(price, whole(Decimal(40))) == 40
    assert rate_period(price, whole(Decimal(40))) == 100
    assert rate_period(price, whole(Decimal(140))) == 160
    assert to_ledger_units(rate_period(price, whole(Decimal(140))), price.currency) == 160_000_000_000
    kinds = [part.kind for part in line_parts(price, whole(Decimal(140)))]
    assert kinds == [PartKind.USAGE, PartKind.OVERAGE]
