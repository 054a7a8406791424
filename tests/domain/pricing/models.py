"""Prices of every model for Hypothesis, and a clerk who rates them unit by unit with fractions."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Final

from hypothesis import strategies as st

from faregate.base.money import EXACT
from faregate.domain.catalog.adjustments import Adjustments, Commitment, FixedDiscount, PercentDiscount
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    LeafModel,
    Package,
    PackageRounding,
    Percentage,
    PerUnit,
    PricingModel,
    Tier,
    Volume,
)
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.rating import OTHER, DimensionKey, Totals, debit_total
from tests.builders import priced

CODES: Final = ("USD", "JPY", "KWD", "IDR")
FIELDS: Final = ("request.body.model",)

amounts = st.decimals(min_value=0, max_value=10, places=6) | st.integers(min_value=0, max_value=10).map(Decimal)
sizes = st.integers(min_value=1, max_value=20).map(Decimal)
percents = st.decimals(min_value=0, max_value=100, places=2)


@st.composite
def tier_rows(draw: st.DrawFn) -> tuple[Tier, ...]:
    tops = sorted(draw(st.sets(st.integers(min_value=1, max_value=60), max_size=4)))
    return tuple(
        Tier(
            up_to=None if top is None else Decimal(top),
            unit=draw(amounts),
            flat=draw(st.just(Decimal(0)) | amounts),
            size=draw(st.none() | sizes),
            cap=draw(st.none() | amounts),
        )
        for top in (*tops, None)
    )


flats = st.builds(Flat, amount=amounts)
per_units = st.builds(PerUnit, amount=amounts)
packages = st.builds(Package, amount=amounts, size=sizes, rounding=st.sampled_from(PackageRounding))
graduateds = st.builds(Graduated, tiers=tier_rows())
volumes = st.builds(Volume, tiers=tier_rows())
percentages = st.builds(
    Percentage,
    percent=percents,
    fixed=amounts,
    minimum=st.none() | st.decimals(min_value=0, max_value=2, places=2),
    maximum=st.none() | st.decimals(min_value=3, max_value=9, places=2),
    free_events=st.none() | st.integers(min_value=0, max_value=4),
    free_value=st.none() | st.integers(min_value=0, max_value=40).map(Decimal),
)
MODELS: Final[Mapping[str, st.SearchStrategy[LeafModel]]] = {
    "flat": flats,
    "per_unit": per_units,
    "package": packages,
    "graduated": graduateds,
    "volume": volumes,
}
"""The models whose total is a quantity. A percentage's total is money, and has tests of its own."""

discounts = st.lists(
    st.builds(PercentDiscount, percent=percents) | st.builds(FixedDiscount, amount=amounts), max_size=2
).map(tuple)


@st.composite
def adjustment_sets(draw: st.DrawFn, *, included: bool = True) -> Adjustments:
    commitment = draw(st.none() | st.builds(Commitment, amount=amounts, overage=amounts))
    minimum = None if commitment else draw(st.none() | amounts)
    least = commitment.amount if commitment else minimum or Decimal(0)
    maximum = draw(st.none() | amounts.map(lambda more: EXACT.add(least, more)))
    return Adjustments(
        included_units=draw(st.just(Decimal(0)) | st.integers(0, 30).map(Decimal)) if included else Decimal(0),
        discounts=draw(discounts),
        maximum_spend=maximum,
        minimum_spend=minimum,
        commitment=commitment,
    )


def prices_of(model: str) -> st.SearchStrategy[Price]:
    return st.builds(
        lambda found, adjusted, code: priced(found, adjusted, code=code),
        MODELS[model],
        adjustment_sets(included=model != "flat"),
        st.sampled_from(CODES),
    )


tables = st.builds(
    ByDimension,
    fields=st.just(FIELDS),
    table=st.dictionaries(
        st.sampled_from([("small",), ("large",), ("huge",)]),
        st.one_of(per_units, packages, graduateds, volumes),
        min_size=1,
    ),
    default=st.none() | per_units | packages,
)
table_prices = st.builds(
    lambda found, adjusted, code: priced(found, adjusted, code=code), tables, adjustment_sets(), st.sampled_from(CODES)
)

quantities = st.integers(min_value=0, max_value=60).map(Decimal) | st.decimals(min_value=0, max_value=60, places=3)


def keys_of(model: ByDimension) -> list[DimensionKey]:
    return [*model.table, (OTHER,)] if model.default is not None else [*model.table]


def clerk(model: PricingModel, total: int) -> Fraction:
    """Rate whole units as they come, one by one, before any adjustment. A table is rated row by row."""
    assert not isinstance(model, ByDimension)
    match model:
        case Flat(amount=amount) | Percentage(fixed=amount):
            return Fraction(amount)
        case PerUnit(amount=amount):
            return sum((Fraction(amount) for _ in range(total)), Fraction(0))
        case Package(amount=amount, size=size, rounding=PackageRounding.UP):
            return sum((Fraction(amount) for unit in range(total) if unit % int(size) == 0), Fraction(0))
        case Package(amount=amount, size=size):
            return sum((Fraction(amount) for unit in range(1, total + 1) if unit % int(size) == 0), Fraction(0))
        case Graduated(tiers=tiers):
            return _climbing(tiers, total)
        case Volume(tiers=tiers):
            if total == 0:
                return Fraction(0)
            tier = next(tier for tier in tiers if tier.up_to is None or total <= tier.up_to)
            return _in_tier(tier, [True] * total)


def _climbing(tiers: Sequence[Tier], total: int) -> Fraction:
    units_of: dict[int, list[bool]] = {0: []}
    for unit in range(1, total + 1):
        index = next(index for index, tier in enumerate(tiers) if tier.up_to is None or unit <= tier.up_to)
        units_of.setdefault(index, []).append(True)
    return sum((_in_tier(tiers[index], units) for index, units in units_of.items()), Fraction(0))


def _in_tier(tier: Tier, units: list[bool]) -> Fraction:
    counted = len(units) if tier.size is None else ceil(Fraction(len(units)) / Fraction(tier.size))
    amount = Fraction(tier.flat) + counted * Fraction(tier.unit)
    return amount if tier.cap is None else min(amount, Fraction(tier.cap))


def clerk_adjusted(adjustments: Adjustments, gross: Fraction) -> Fraction:
    amount = gross
    for discount in adjustments.discounts:
        if isinstance(discount, PercentDiscount):
            amount -= amount * Fraction(discount.percent) / 100
        else:
            amount = max(amount - Fraction(discount.amount), Fraction(0))
    if adjustments.commitment is not None:
        beyond = max(amount - Fraction(adjustments.commitment.amount), Fraction(0))
        amount += beyond * (Fraction(adjustments.commitment.overage) - 1)
    return amount if adjustments.maximum_spend is None else min(amount, Fraction(adjustments.maximum_spend))


def clerk_rounded(amount: Fraction, places: int) -> int:
    """Half away from zero; amounts are never below zero here."""
    return floor(amount * Fraction(10) ** places + Fraction(1, 2))


def debits(
    price: Price, parts: Sequence[tuple[DimensionKey, Decimal]]
) -> tuple[list[int], dict[DimensionKey, Decimal]]:
    """What each part is charged when it comes: q(rate(after)) - q(rate(before)); and the totals that they make."""
    totals: dict[DimensionKey, Decimal] = {}
    charged, before = [], 0
    for key, part in parts:
        totals[key] = EXACT.add(totals.get(key, Decimal(0)), part)
        after = debit_total(price, totals)
        charged.append(after - before)
        before = after
    return charged, totals


def added(totals: Totals) -> Decimal:
    result = Decimal(0)
    for total in totals.values():
        result = EXACT.add(result, total)
    return result
