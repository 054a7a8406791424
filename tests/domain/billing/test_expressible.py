import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import currency
from faregate.domain.billing.expressible import Expressed, NotExpressed, express
from faregate.domain.billing.provider import ProviderScheme
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
from faregate.domain.catalog.price import UNADJUSTED, Price
from faregate.domain.pricing.rating import line_amount, whole
from tests.builders import priced

ONE: Final = Decimal(1)
CENT: Final = Decimal("0.01")


def half_away(amount: Fraction) -> int:
    return int(amount + Fraction(1, 2))


def stripe_lines(price: Expressed, quantity: int) -> list[Fraction]:
    """What Stripe puts on lines of their own, in minor units before rounding, as its documents tell it."""
    unit = Fraction(price.unit_amount)
    match price.scheme:
        case ProviderScheme.PER_UNIT:
            return [quantity * unit]
        case ProviderScheme.PACKAGE:
            return [-(-quantity // price.divide_by) * unit]
        case ProviderScheme.PACKAGE_DOWN:
            return [quantity // price.divide_by * unit]
        case ProviderScheme.VOLUME:
            tier = next(tier for tier in price.tiers if tier.up_to is None or quantity <= tier.up_to)
            return [quantity * Fraction(tier.unit_amount), Fraction(tier.flat_amount)] if quantity else []
        case ProviderScheme.GRADUATED:
            lines, below = [], 0
            for tier in price.tiers:
                if quantity > below:
                    top = quantity if tier.up_to is None else min(quantity, int(tier.up_to))
                    lines += [(top - below) * Fraction(tier.unit_amount), Fraction(tier.flat_amount)]
                    below = top
            return lines


def in_minor_units(code: str, *, fractions: bool) -> st.SearchStrategy[Decimal]:
    """Amounts of which about half are whole minor units."""
    places = currency(code).minor_places
    whole_ones = st.integers(0, 500).map(lambda units: Decimal(units).scaleb(-places))
    return whole_ones | st.decimals(0, 5, places=6) if fractions else whole_ones


@st.composite
def tiers(draw: st.DrawFn, code: str) -> tuple[Tier, ...]:
    tops = sorted(draw(st.sets(st.sampled_from([1, 2, 10, 20, 25, 50]), max_size=3)))
    return tuple(
        Tier(
            up_to=None if top is None else Decimal(top),
            unit=draw(in_minor_units(code, fractions=place == len(tops) or draw(st.booleans()))),
            flat=draw(in_minor_units(code, fractions=False)) if place else Decimal(0),
        )
        for place, top in enumerate((*tops, None))
    )


@st.composite
def prices(draw: st.DrawFn) -> Price:
    code = draw(st.sampled_from(["USD", "JPY", "KWD"]))
    amount = draw(in_minor_units(code, fractions=True))
    models: list[st.SearchStrategy[PricingModel]] = [
        st.just(PerUnit(amount=amount)),
        st.builds(
            Package,
            amount=st.just(amount),
            size=st.integers(1, 30).map(Decimal),
            rounding=st.sampled_from(PackageRounding),
        ),
        st.builds(Graduated, tiers=tiers(code)),
        st.builds(Volume, tiers=tiers(code)),
    ]
    return priced(draw(st.one_of(models)), code=code)


@given(prices(), st.integers(0, 80))
def test_what_is_expressed_comes_to_our_line_though_stripe_rounds_each_of_its_own(price: Price, quantity: int) -> None:
    expressed = express(price)
    if isinstance(expressed, NotExpressed):
        return
    theirs = sum(half_away(line) for line in stripe_lines(expressed, quantity))
    assert theirs == line_amount(price, whole(Decimal(quantity)))


def rows(*, flat: Decimal = Decimal(0), **first: Decimal) -> tuple[Tier, ...]:
    return (
        Tier(**({"up_to": Decimal(10), "unit": ONE} | first)),
        Tier(up_to=None, unit=CENT, flat=flat),
    )


@pytest.mark.parametrize(
    ("model", "adjustments", "reason"),
    [
        (Flat(amount=ONE), UNADJUSTED, "flat fee"),
        (Percentage(percent=ONE), UNADJUSTED, "share of each call's value"),
        (ByDimension(fields=("user_id",), table={("a",): PerUnit(amount=ONE)}, default=None), UNADJUSTED, "table"),
        (Package(amount=ONE, size=Decimal("2.5")), UNADJUSTED, r"2\.5 units is no whole number"),
        (PerUnit(amount=Decimal("1e-15")), UNADJUSTED, "more than 12 places"),
        (Volume(tiers=rows(unit=Decimal("1e-15"))), UNADJUSTED, "more than 12 places"),
        (Graduated(tiers=rows(size=ONE)), UNADJUSTED, "tier 1 is priced by packages"),
        (Graduated(tiers=rows(cap=ONE)), UNADJUSTED, "tier 1 has a cap"),
        (Volume(tiers=rows(up_to=Decimal("1.5"))), UNADJUSTED, r"tier 1 ends at 1\.5 units"),
        (Volume(tiers=rows(flat=Decimal("0.001"))), UNADJUSTED, r"tier 2, 0\.001 USD, has a part of a minor unit"),
        (Graduated(tiers=(Tier(up_to=None, unit=ONE, flat=ONE),)), UNADJUSTED, "first tier has a flat amount"),
        (Graduated(tiers=rows(unit=Decimal("0.0001"))), UNADJUSTED, "tier 1, used up"),
        (PerUnit(amount=ONE), Adjustments(included_units=ONE), "included units"),
        (PerUnit(amount=ONE), Adjustments(discounts=(PercentDiscount(percent=ONE),)), "a discount"),
        (PerUnit(amount=ONE), Adjustments(discounts=(FixedDiscount(amount=ONE),)), "a discount"),
        (PerUnit(amount=ONE), Adjustments(maximum_spend=ONE), "maximum spend"),
        (PerUnit(amount=ONE), Adjustments(minimum_spend=ONE), "minimum spend"),
        (PerUnit(amount=ONE), Adjustments(commitment=Commitment(amount=ONE)), "commitment"),
    ],
)
def test_what_stripe_cannot_express_is_told_with_its_reason(
    model: LeafModel, adjustments: Adjustments, reason: str
) -> None:
    found = express(priced(model, adjustments))
    assert isinstance(found, NotExpressed)
    assert found.reason.endswith(".")
    assert re.search(reason, found.reason)
