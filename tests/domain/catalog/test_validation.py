from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import (
    MAX_AMOUNT_PLACES,
    MAX_DISCOUNTS,
    MAX_PACKAGE_AMOUNT,
    MAX_PACKAGE_SIZE,
    MAX_TABLE_ROWS,
    MAX_TIERS,
)
from faregate.base.money import currency, to_ledger_units
from faregate.domain.catalog.adjustments import Adjustments, Commitment, FixedDiscount, PercentDiscount
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    Package,
    Percentage,
    PerUnit,
    PricingModel,
    Tier,
    Volume,
)
from faregate.domain.catalog.price import UNADJUSTED, Price
from faregate.domain.catalog.validation import adjustments_faults, model_faults, require
from tests.domain.pricing.models import MODELS, percentages, prices_of, table_prices

ONE = Decimal(1)
PER_UNIT = PerUnit(amount=ONE)
TABLE = ByDimension(fields=("request.body.model",), table={("small",): PER_UNIT}, default=None)
LAST = Tier(up_to=None, unit=ONE)


def faulty_fields(amount: str = "0.50", size: str = "1000000") -> list[str]:
    return [fault.field for fault in model_faults("model", Package(amount=Decimal(amount), size=Decimal(size)))]


def fields_of(model: PricingModel) -> list[str]:
    return [fault.field for fault in model_faults("model", model)]


def adjusting_fields(adjustments: Adjustments, model: PricingModel = PER_UNIT) -> list[str]:
    return [fault.field for fault in adjustments_faults("adjustments", adjustments, model)]


@pytest.mark.parametrize("amount", ["0", "-0", "0.50", "0.000000000001", "1e-12", "1E+3", "0.5000000000000000000000"])
def test_an_amount_from_zero_with_twelve_places_is_right(amount: str) -> None:
    assert faulty_fields(amount=amount) == []


@pytest.mark.parametrize(
    "amount", ["-0.01", "NaN", "sNaN", "Infinity", "-Infinity", "1e999999", "1e999999999999", "1" * 200]
)
def test_an_amount_that_is_no_price_is_refused(amount: str) -> None:
    assert faulty_fields(amount=amount) == ["model.amount"]


@pytest.mark.parametrize(
    "amount", ["0.0000000000001", "0.5000000000000000000000000000000001", "1e-999999", "0." + "1" * 500]
)
def test_an_amount_of_more_than_twelve_places_is_refused(amount: str) -> None:
    faults = model_faults("model", Package(amount=Decimal(amount), size=ONE))
    assert [(fault.field, fault.message) for fault in faults] == [
        ("model.amount", f"must have at most {MAX_AMOUNT_PLACES} decimal places")
    ]


def test_an_amount_may_be_as_large_as_the_limit_and_not_larger() -> None:
    assert faulty_fields(amount=str(MAX_PACKAGE_AMOUNT)) == []
    assert faulty_fields(amount=f"{MAX_PACKAGE_AMOUNT}.000000000001") == ["model.amount"]


@pytest.mark.parametrize("code", ["USD", "JPY", "KWD", "IDR"])
def test_the_largest_amount_fits_the_ledger_in_every_kind_of_currency(code: str) -> None:
    assert to_ledger_units(Decimal(MAX_PACKAGE_AMOUNT), currency(code)) > 0


@pytest.mark.parametrize("size", ["1", "1000000", "1.0", "1E+6"])
def test_a_size_is_a_whole_number_above_zero(size: str) -> None:
    assert faulty_fields(size=size) == []


@pytest.mark.parametrize("size", ["0", "-1", "0.5", "1000000.5", "1e-999999", "NaN", "sNaN", "Infinity", "1e999999"])
def test_any_other_size_is_refused(size: str) -> None:
    assert faulty_fields(size=size) == ["model.size"]


def test_a_size_may_be_as_large_as_the_limit_and_not_larger() -> None:
    assert faulty_fields(size=str(MAX_PACKAGE_SIZE)) == []
    assert faulty_fields(size=str(MAX_PACKAGE_SIZE + 1)) == ["model.size"]


def test_a_package_names_all_its_faults_at_once() -> None:
    assert faulty_fields(amount="-1", size="0") == ["model.amount", "model.size"]


@given(st.sampled_from([*MODELS]).flatmap(prices_of) | table_prices)
def test_prices_that_tests_are_made_with_are_right(price: Price) -> None:
    assert fields_of(price.model) == []
    assert adjusting_fields(price.adjustments, price.model) == []


@given(percentages)
def test_percentages_that_tests_are_made_with_are_right(model: Percentage) -> None:
    assert fields_of(model) == []


@pytest.mark.parametrize("model", [Flat(amount=-ONE), PerUnit(amount=-ONE)])
def test_a_flat_fee_and_a_unit_cost_nothing_at_least(model: PricingModel) -> None:
    assert fields_of(model) == ["model.amount"]


@pytest.mark.parametrize(
    ("tiers", "fields"),
    [
        ((), ["model.tiers"]),
        ((LAST,) * (MAX_TIERS + 1), ["model.tiers"]),
        ((Tier(up_to=ONE, unit=ONE),), ["model.tiers[0].up_to"]),
        ((LAST, LAST), ["model.tiers[0].up_to"]),
        ((Tier(up_to=Decimal(5), unit=ONE), Tier(up_to=Decimal(5), unit=ONE), LAST), ["model.tiers[1].up_to"]),
        ((Tier(up_to=Decimal("NaN"), unit=ONE), LAST), ["model.tiers[0].up_to"]),
        ((Tier(up_to=Decimal(0), unit=ONE), LAST), ["model.tiers[0].up_to"]),
        (
            (Tier(up_to=None, unit=-ONE, flat=-ONE, cap=-ONE, size=Decimal(0)),),
            ["model.tiers[0].unit", "model.tiers[0].flat", "model.tiers[0].cap", "model.tiers[0].size"],
        ),
        ((Tier(up_to=Decimal("0.1"), unit=ONE), LAST), []),
    ],
)
def test_tiers_end_where_the_next_begins_and_the_last_has_no_end(tiers: tuple[Tier, ...], fields: list[str]) -> None:
    assert fields_of(Graduated(tiers=tiers)) == fields
    assert fields_of(Volume(tiers=tiers)) == fields


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Percentage(percent=Decimal(1001)), ["model.percent"]),
        (Percentage(percent=Decimal("0.0000000000001")), ["model.percent"]),
        (Percentage(percent=ONE, fixed=-ONE), ["model.fixed"]),
        (Percentage(percent=ONE, minimum=-ONE), ["model.minimum"]),
        (Percentage(percent=ONE, minimum=Decimal(2), maximum=ONE), ["model.maximum"]),
        (Percentage(percent=ONE, free_events=-1), ["model.free_events"]),
        (Percentage(percent=ONE, free_value=-ONE), ["model.free_value"]),
    ],
)
def test_a_percentage_names_the_field_that_cannot_be(model: Percentage, fields: list[str]) -> None:
    assert fields_of(model) == fields


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (TABLE, []),
        (replace(TABLE, fields=()), ["model.fields", "model.table[0].values"]),
        (replace(TABLE, fields=("user_id", "user_id")), ["model.fields", "model.table[0].values"]),
        (replace(TABLE, table={}), ["model.table"]),
        (replace(TABLE, table={(str(n),): PER_UNIT for n in range(MAX_TABLE_ROWS + 1)}), ["model.table"]),
        (replace(TABLE, table={("a",): PerUnit(amount=-ONE)}), ["model.table[0].model.amount"]),
        (replace(TABLE, default=PerUnit(amount=-ONE)), ["model.default.amount"]),
    ],
)
def test_a_table_names_the_row_that_cannot_be(model: ByDimension, fields: list[str]) -> None:
    assert fields_of(model) == fields


@pytest.mark.parametrize(
    ("adjustments", "fields"),
    [
        (UNADJUSTED, []),
        (Adjustments(included_units=-ONE), ["adjustments.included_units"]),
        (Adjustments(maximum_spend=-ONE), ["adjustments.maximum_spend"]),
        (Adjustments(minimum_spend=-ONE), ["adjustments.minimum_spend"]),
        (
            Adjustments(commitment=Commitment(amount=-ONE, overage=Decimal(101))),
            ["adjustments.commitment.amount", "adjustments.commitment.overage"],
        ),
        (
            Adjustments(discounts=(PercentDiscount(percent=Decimal(101)), FixedDiscount(amount=-ONE))),
            ["adjustments.discounts[0].percent", "adjustments.discounts[1].amount"],
        ),
        (Adjustments(discounts=(FixedDiscount(amount=ONE),) * (MAX_DISCOUNTS + 1)), ["adjustments.discounts"]),
        (
            Adjustments(minimum_spend=ONE, commitment=Commitment(amount=ONE)),
            ["adjustments.minimum_spend"],
        ),
        (Adjustments(minimum_spend=Decimal(2), maximum_spend=ONE), ["adjustments.maximum_spend"]),
        (
            Adjustments(commitment=Commitment(amount=Decimal(2)), maximum_spend=ONE),
            ["adjustments.maximum_spend"],
        ),
    ],
)
def test_adjustments_name_the_field_that_cannot_be(adjustments: Adjustments, fields: list[str]) -> None:
    assert adjusting_fields(adjustments) == fields


@pytest.mark.parametrize(
    "model", [Flat(amount=ONE), Percentage(percent=ONE), replace(TABLE, default=Percentage(percent=ONE))]
)
def test_included_units_need_units(model: PricingModel) -> None:
    assert adjusting_fields(Adjustments(included_units=ONE), model) == ["adjustments.included_units"]


def test_require_raises_every_fault_of_every_group() -> None:
    one, other = FieldFault(field="name", message="a"), FieldFault(field="model.size", message="b")
    with pytest.raises(InvalidInput) as refused:
        require([one], [], [other])
    assert refused.value.faults == (one, other)


def test_require_lets_pass_what_has_no_fault() -> None:
    require([], [])
