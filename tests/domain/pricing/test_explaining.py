from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import EXACT, from_minor_units
from faregate.domain.catalog.adjustments import Adjustments, Commitment, FixedDiscount, PercentDiscount
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    Package,
    PackageRounding,
    Percentage,
    PerUnit,
    PricingModel,
    Tier,
    Volume,
)
from faregate.domain.catalog.price import UNADJUSTED, Price
from faregate.domain.pricing.breakdown import PartKind, line_parts
from faregate.domain.pricing.explaining import StepKind, adjustment_steps, line_steps
from faregate.domain.pricing.rating import OTHER, Totals, line_amount, whole
from tests.builders import priced
from tests.domain.pricing.models import MODELS, keys_of, percentages, prices_of, quantities, table_prices

ONE = Decimal(1)
TWO_TIERS = (Tier(up_to=Decimal(5), unit=ONE), Tier(up_to=None, unit=Decimal("0.5"), flat=ONE))

STEPS_OF_PARTS = {
    StepKind.FLAT: PartKind.USAGE,
    StepKind.UNITS: PartKind.USAGE,
    StepKind.PACKAGES: PartKind.USAGE,
    StepKind.EVENTS: PartKind.USAGE,
    StepKind.TIER: PartKind.TIER,
    StepKind.DISCOUNT: PartKind.DISCOUNT,
    StepKind.OVERAGE: PartKind.OVERAGE,
    StepKind.MAXIMUM: PartKind.MAXIMUM,
    StepKind.MINIMUM: PartKind.TRUE_UP,
    StepKind.COMMITMENT: PartKind.TRUE_UP,
    StepKind.ROUNDING: PartKind.ROUNDING,
}


@st.composite
def totalled(draw: st.DrawFn) -> tuple[Price, Totals]:
    """A price of any model, and totals that it can have."""
    price = draw(st.sampled_from([*MODELS]).flatmap(prices_of) | percentages.map(priced) | table_prices)
    if isinstance(price.model, ByDimension):
        keys = st.sampled_from([*keys_of(price.model), ("unpriced",)])
        return price, draw(st.dictionaries(keys, quantities))
    return price, draw(st.just(dict[tuple[str, ...], Decimal]()) | quantities.map(whole))


@given(totalled())
def test_the_steps_lead_to_the_line_and_agree_with_its_parts(case: tuple[Price, Totals]) -> None:
    price, totals = case
    line = from_minor_units(line_amount(price, totals), price.currency)
    subtotal = Decimal(0)
    steps: Counter[tuple[PartKind, tuple[str, ...]]] = Counter()
    for step in line_steps(price, totals):
        subtotal = EXACT.add(subtotal, step.amount)
        assert step.subtotal == subtotal
        if step.amount:
            steps[STEPS_OF_PARTS[step.kind], step.dimension] += step.amount  # type: ignore[assignment]
    assert subtotal == line
    parts: Counter[tuple[PartKind, tuple[str, ...]]] = Counter()
    for part in line_parts(price, totals):
        if part.amount:
            parts[part.kind, part.dimension] += part.amount  # type: ignore[assignment]
    assert steps == parts


@given(totalled())
def test_what_a_step_charges_is_its_units_times_their_price(case: tuple[Price, Totals]) -> None:
    for step in line_steps(*case):
        if step.charged is not None and step.unit_amount is not None:
            amount = EXACT.add(EXACT.multiply(step.charged, step.unit_amount), step.flat or Decimal(0))
            assert step.amount == (amount if step.cap is None else min(amount, step.cap))


@given(totalled())
def test_what_is_used_is_what_is_included_and_what_is_paid(case: tuple[Price, Totals]) -> None:
    price, totals = case
    for key, total in totals.items():
        steps = [step for step in line_steps(price, totals) if step.dimension == key and step.quantity is not None]
        if isinstance(price.model, Percentage) or not steps:
            continue
        used, *rest = steps
        assert (used.kind, used.quantity) == (StepKind.USED, total)
        units = sum((step.quantity for step in rest if step.quantity is not None), Decimal(0))
        has_units = any(step.charged is not None for step in rest)
        assert units == total if has_units else units <= total


@pytest.mark.parametrize(
    ("model", "adjustments", "total", "words"),
    [
        (
            Package(amount=Decimal("0.50"), size=Decimal(1_000_000)),
            UNADJUSTED,
            "1200000",
            ["1200000 units metered", "1200000 / 1000000: 2 packages begun x 0.50"],
        ),
        (
            Package(amount=ONE, size=Decimal(10), rounding=PackageRounding.DOWN),
            Adjustments(included_units=Decimal(3)),
            "28",
            ["28 units metered", "3 of them included: 25 left to pay", "25 / 10: 2 packages filled x 1"],
        ),
        (Flat(amount=Decimal(20)), UNADJUSTED, "3", ["3 units metered", "20 a period"]),
        (
            PerUnit(amount=Decimal("0.015")),
            Adjustments(discounts=(PercentDiscount(percent=Decimal(50)), FixedDiscount(amount=Decimal("0.01")))),
            "7",
            [
                "7 units metered",
                "7 units x 0.015",
                "50 % off 0.105",
                "0.01 off 0.05250",
                "rounded once to USD's minor unit, half away from zero",
            ],
        ),
        (
            Graduated(tiers=TWO_TIERS),
            Adjustments(maximum_spend=Decimal(6)),
            "8",
            ["8 units metered", "tier 1: 5 units x 1", "tier 2: 3 units x 0.5 + 1", "at most 6 a period"],
        ),
        (
            Volume(tiers=(Tier(up_to=None, unit=ONE, size=Decimal(5), cap=Decimal(2)),)),
            Adjustments(minimum_spend=Decimal(3)),
            "14",
            [
                "14 units metered",
                "tier 1: 14 units in 3 packages of 5 x 1, at most 2",
                "what usage lacks of the least, 3",
            ],
        ),
        (Volume(tiers=TWO_TIERS), UNADJUSTED, "0", ["0 units metered"]),
        (
            PerUnit(amount=ONE),
            Adjustments(commitment=Commitment(amount=Decimal(6), overage=Decimal(2))),
            "8",
            ["8 units metered", "8 units x 1", "usage beyond what is committed costs a multiple of its price"],
        ),
        (
            PerUnit(amount=ONE),
            Adjustments(commitment=Commitment(amount=Decimal(6))),
            "4",
            ["4 units metered", "4 units x 1", "what usage lacks of the 6 that are committed"],
        ),
        (
            Percentage(
                percent=Decimal("2.9"),
                fixed=Decimal("0.30"),
                minimum=ONE,
                maximum=Decimal(9),
                free_events=1,
                free_value=Decimal(50),
            ),
            UNADJUSTED,
            "4.95",
            [
                (
                    "the events' own amounts, added up: 2.9 % of its value, + 0.30, at least 1, at most 9, "
                    "the first 1 events free, the first 50 of value free"
                )
            ],
        ),
        (
            Percentage(percent=Decimal(3)),
            UNADJUSTED,
            "3",
            ["the events' own amounts, added up: 3 % of its value"],
        ),
    ],
)
def test_each_model_is_explained_in_words(
    model: PricingModel, adjustments: Adjustments, total: str, words: list[str]
) -> None:
    assert [step.words for step in line_steps(priced(model, adjustments), whole(Decimal(total)))] == words


def test_an_adjustment_is_explained_by_its_causes_and_what_rounds_them() -> None:
    causes = [("late", Decimal("0.504"), Decimal(3)), ("given back", Decimal("-0.2"), Decimal(0))]
    steps = adjustment_steps(Decimal("0.30"), causes)
    assert [(step.kind, step.amount, step.subtotal) for step in steps] == [
        (StepKind.ADJUSTMENT, Decimal("0.504"), Decimal("0.504")),
        (StepKind.ADJUSTMENT, Decimal("-0.2"), Decimal("0.304")),
        (StepKind.CARRIED, Decimal("-0.004"), Decimal("0.300")),
    ]
    assert [step.kind for step in adjustment_steps(Decimal("0.304"), causes)] == [StepKind.ADJUSTMENT] * 2


def test_each_row_of_a_table_has_its_own_steps() -> None:
    model = ByDimension(fields=("user_id",), table={("small",): PerUnit(amount=ONE)}, default=PerUnit(amount=ONE))
    steps = line_steps(priced(model), {("small",): Decimal(2), (OTHER,): Decimal(3), ("gone", "row"): Decimal(9)})
    assert [(step.dimension, step.subtotal) for step in steps if step.kind is StepKind.UNITS] == [
        ((OTHER,), Decimal(3)),
        (("gone", "row"), Decimal(12)),
        (("small",), Decimal(14)),
    ]
