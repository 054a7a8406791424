"""Which prices are told to lie below a cost, and which cannot be compared."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from faregate.base.money import currency
from faregate.base.periods import Span
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    LeafModel,
    Package,
    Percentage,
    PerUnit,
    PricingModel,
    Tier,
    Volume,
)
from faregate.domain.catalog.price import BillingPeriod, TaxBehavior
from faregate.domain.catalog.versions import AppliesTo, PriceSeries, PriceVersion, Replaced, Terms
from faregate.domain.costing.below_cost import BelowCost, find_below_cost
from faregate.domain.costing.cost import CostPrice
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.filter import Filter
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.metric import Count, SumOf, Unique
from faregate.domain.metering.units import Units
from faregate.wire.patterns import compile_pattern
from tests.builders import NOON, a_cost, a_filter, a_meter, a_rate, an_expression

DAY = timedelta(days=1)


def unit(amount: str) -> PerUnit:
    return PerUnit(amount=Decimal(amount))


def a_version(
    model: PricingModel, number: int = 1, *, after: timedelta = -DAY, applies_to: AppliesTo = AppliesTo.ALL
) -> PriceVersion:
    return PriceVersion(
        price_id=f"prc_{number}",
        number=number,
        effective_at=NOON + after,
        applies_to=applies_to,
        terms={currency("USD"): Terms(model=model)},
    )


def a_series(*versions: PriceVersion) -> PriceSeries:
    return PriceSeries(
        series_id="prc_1",
        plan_id="pln_1",
        name="Input Tokens",
        period=BillingPeriod.MONTH,
        tax_behavior=TaxBehavior.AUTO,
        versions=versions,
    )


def found(
    model: PricingModel | PriceSeries, *costs: CostPrice, meter: Meter | None = None, criteria: Filter | None = None
) -> list[BelowCost]:
    series = model if isinstance(model, PriceSeries) else a_series(a_version(model))
    meters = [meter or a_meter(criteria)]
    return list(find_below_cost([series], meters, costs, matchers=compile_pattern, at=NOON))


def cheap(amount: str = "2", **of: object) -> CostPrice:
    return a_cost(a_rate(amount), effective_at=NOON - DAY, **of)  # type: ignore[arg-type]


TIERS = (Tier(up_to=Decimal(10), unit=Decimal("0.1")), Tier(up_to=None, unit=Decimal(1), size=Decimal(1_000_000)))


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (unit("0.000001"), "0.000001"),
        (Package(amount=Decimal("1.99"), size=Decimal(1_000_000)), "1.99 per 1000000"),
        (Graduated(tiers=TIERS), "1 per 1000000"),
        (Volume(tiers=TIERS), "1 per 1000000"),
    ],
)
def test_a_unit_price_below_the_cost_of_the_unit_is_found(model: LeafModel, shown: str) -> None:
    (one,) = found(model, cheap())
    assert (str(one.unit_price), str(one.unit_cost), one.rate.kind) == (shown, "2 per 1000000", "input")
    assert (one.version.price_id, one.values, one.model) == ("prc_1", (), None)


@pytest.mark.parametrize(
    "model", [unit("0.000002"), Flat(amount=Decimal(0)), Percentage(percent=Decimal(0)), unit("1")]
)
def test_a_price_at_its_cost_or_without_a_price_of_a_unit_is_not(model: LeafModel) -> None:
    assert found(model, cheap()) == []


def test_each_row_of_a_table_is_compared_with_the_cost_of_its_model() -> None:
    table = ByDimension(
        fields=("request.body.model",),
        table={("a",): unit("0.000001"), ("b",): unit("1"), ("c",): Flat(amount=Decimal(1))},
        default=unit("0.0000001"),
    )
    for field in ("request__body__model", "response__body__model"):
        costs = [cheap(name=model, criteria=a_filter(**{field: model})) for model in "abcd"]
        assert [(one.model, one.values, one.cost.name) for one in found(table, *costs)] == [
            ("a", ("a",), "a"),
            ("d", (), "d"),
        ]
    without = ByDimension(fields=table.fields, table=table.table, default=None)
    assert [one.model for one in found(without, cheap())] == ["a"]
    by_default = ByDimension(fields=table.fields, table={}, default=Flat(amount=Decimal(1)))
    assert found(by_default, cheap()) == []


def test_a_cost_of_other_calls_is_not_compared() -> None:
    elsewhere = cheap(criteria=a_filter(request__route="/b"))
    assert found(unit("0"), elsewhere, criteria=a_filter(request__route="/a")) == []
    assert len(found(unit("0"), elsewhere, criteria=a_filter(request__route="/b", response__status=200))) == 1
    pinned = cheap(criteria=a_filter(response__body__model="gpt"))
    assert [one.model for one in found(unit("0"), pinned)] == ["gpt"]


def test_only_units_of_one_kind_and_currency_are_compared() -> None:
    assert found(unit("0"), cheap(code="EUR")) == []
    assert found(unit("0"), cheap(), meter=a_meter(metric=Count())) == []
    assert found(unit("0"), cheap(), meter=a_meter(metric=Unique(path=FieldPath("user_id")))) == []
    calls = a_cost(a_rate("1", metric=Count(), per=1), effective_at=NOON - DAY)
    assert len(found(unit("0"), calls, meter=a_meter(metric=Count()))) == 1
    uncached = an_expression("response.body.usage.prompt_tokens - metadata.cached ?? 0")
    assert len(found(unit("0"), cheap(), meter=a_meter(metric=SumOf(expression=uncached)))) == 1


def test_units_of_a_meter_are_taken_back_to_those_of_the_field() -> None:
    in_millions = a_meter(units=Units(multiply=Decimal("0.000001")))
    assert found(unit("2"), cheap(), meter=in_millions) == []
    assert len(found(unit("1.99"), cheap(), meter=in_millions)) == 1


def test_a_meter_of_an_unknown_price_is_left_out() -> None:
    assert list(find_below_cost([], [a_meter()], [cheap()], matchers=compile_pattern, at=NOON)) == []


def test_only_versions_that_hold_now_or_later_and_at_one_time_are_compared() -> None:
    gone = a_series(a_version(unit("0")), a_version(unit("1"), 2, after=timedelta(0)))
    assert found(gone, cheap()) == []
    coming = a_series(a_version(unit("1")), a_version(unit("0"), 2, after=DAY))
    assert [one.version.number for one in found(coming, cheap())] == [2]
    assert found(coming, cheap(ends_at=NOON + DAY)) == []
    assert found(coming, cheap(ends_at=NOON)) == []
    for_new = a_version(unit("1"), 2, after=timedelta(0), applies_to=AppliesTo.NEW_SUBSCRIPTIONS)
    assert [one.version.number for one in found(a_series(a_version(unit("0")), for_new), cheap())] == [1]
    ending = a_series(a_version(unit("0")), a_version(unit("1"), 2, after=DAY))
    assert [one.version.number for one in found(ending, cheap(ends_at=NOON + 2 * DAY))] == [1]


@pytest.mark.parametrize(("wrong", "right", "numbers"), [("0", "1", []), ("1", "0", [2])])
def test_a_version_that_was_put_right_for_good_is_compared_as_it_stands_now(
    wrong: str, right: str, numbers: list[int]
) -> None:
    span = Span(start=NOON - DAY, end=None)
    made = replace(a_version(unit(right), 2), replaces=Replaced(price_id="prc_1", span=span, rerating_id="rrt_1"))
    series = replace(a_series(a_version(unit(wrong))), replacements=(made,))
    assert [one.version.number for one in found(series, cheap())] == numbers
