"""Whether a price of ours can stand at the provider (Stripe), so that it comes to our amount from raw units.

A price that it can express comes to ours to the minor unit, for every quantity of whole units. Stripe rounds each line
of an invoice for itself, and has a line for each tier and each flat amount of a tiered price, where we round once. So
tiers are expressed only where all lines but one are whole minor units; then rounding the one rounds the sum.
Sources: https://docs.stripe.com/api/prices/object (per_unit with transform_quantity; tiered, graduated or volume),
https://docs.stripe.com/products-prices/pricing-models
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, assert_never

from faregate.base.money import EXACT, Currency
from faregate.domain.billing.provider import ProviderScheme, ProviderTier
from faregate.domain.catalog.adjustments import Adjustments
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
from faregate.domain.catalog.price import Price

MAX_PROVIDER_PLACES: Final = 12
"""Decimal places of a minor unit that an amount at the provider may have."""

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expressed:
    """A price in the provider's words; amounts in minor units.

    `package` and `package_down` are `unit_amount` with `transform_quantity`, rounded up or down to `divide_by` units;
    `graduated` and `volume` are `tiers_mode`s.
    """

    scheme: ProviderScheme
    unit_amount: Decimal = _NOTHING
    divide_by: int = 1
    tiers: tuple[ProviderTier, ...] = ()


@dataclass(frozen=True, slots=True)
class NotExpressed:
    """Why the provider cannot rate a price, as a sentence."""

    reason: str


def express(price: Price) -> Expressed | NotExpressed:
    """Return a price as the provider has it, or why it cannot: then we rate it, and its line is an invoice item."""
    return express_terms(price.model, price.adjustments, price.currency)


def express_terms(model: PricingModel, adjustments: Adjustments, unit: Currency) -> Expressed | NotExpressed:
    """As `express`, of a price's terms in one currency."""
    reason = _adjusting_reason(adjustments)
    if reason is not None:
        return NotExpressed(reason)
    match model:
        case Flat():
            return NotExpressed(
                "It is a flat fee, due at the period's end; Stripe bills one ahead, and not by a meter."
            )
        case Percentage():
            return NotExpressed("It is a share of each call's value; Stripe prices units.")
        case ByDimension():
            return NotExpressed(
                "It looks its price up in a table by fields of the call; a Stripe price is one for all usage."
            )
        case PerUnit(amount=amount):
            expressed = Expressed(scheme=ProviderScheme.PER_UNIT, unit_amount=_minor(amount, unit))
            reason = _amount_reason(amount, unit)
        case Package():
            expressed, reason = _package(model, unit), _package_reason(model, unit)
        case Graduated(tiers=tiers):
            expressed = Expressed(scheme=ProviderScheme.GRADUATED, tiers=_tiers(tiers, unit))
            reason = _tiers_reason(tiers, unit) or _graduated_reason(tiers, unit)
        case Volume(tiers=tiers):
            expressed = Expressed(scheme=ProviderScheme.VOLUME, tiers=_tiers(tiers, unit))
            reason = _tiers_reason(tiers, unit)
        case _:
            assert_never(model)
    return expressed if reason is None else NotExpressed(reason)


def _adjusting_reason(adjustments: Adjustments) -> str | None:
    """Return which adjustment a price at the provider cannot have."""
    if adjustments.included_units:
        return "It has included units, which a Stripe price does not have."
    if adjustments.discounts:
        return "It has a discount of its own: Stripe takes discounts off subscriptions and invoices, not off a price."
    if adjustments.maximum_spend is not None:
        return "It has a maximum spend, which a Stripe price does not have."
    if adjustments.minimum_spend is not None:
        return "It has a minimum spend, which a Stripe price does not have."
    if adjustments.commitment is not None:
        return "It has a commitment, which a Stripe price does not have."
    return None


def _package(model: Package, unit: Currency) -> Expressed:
    is_up = model.rounding is PackageRounding.UP
    return Expressed(
        scheme=ProviderScheme.PACKAGE if is_up else ProviderScheme.PACKAGE_DOWN,
        unit_amount=_minor(model.amount, unit),
        divide_by=int(model.size),
    )


def _package_reason(model: Package, unit: Currency) -> str | None:
    if not _is_whole(model.size):
        return f"Its package of {model.size} units is no whole number, which Stripe asks for."
    return _amount_reason(model.amount, unit)


def _tiers_reason(tiers: tuple[Tier, ...], unit: Currency) -> str | None:
    if tiers[0].flat:
        return "Its first tier has a flat amount: Stripe's documents do not say when it is due without usage."
    for number, tier in enumerate(tiers, start=1):
        if tier.size is not None:
            return f"Its tier {number} is priced by packages; a tier at Stripe is priced by units."
        if tier.cap is not None:
            return f"Its tier {number} has a cap, which a tier at Stripe does not have."
        if tier.up_to is not None and not _is_whole(tier.up_to):
            return f"Its tier {number} ends at {tier.up_to} units, which is no whole number, as Stripe asks for."
        if not _is_whole(_minor(tier.flat, unit)):
            return (
                f"The flat amount of its tier {number}, {tier.flat:f} {unit.code}, has a part of a minor unit, and"
                " Stripe rounds it for itself."
            )
        reason = _amount_reason(tier.unit, unit)
        if reason is not None:
            return reason
    return None


def _graduated_reason(tiers: tuple[Tier, ...], unit: Currency) -> str | None:
    for number, (width, tier) in enumerate(_widths(tiers), start=1):
        if not _is_whole(EXACT.multiply(width, _minor(tier.unit, unit))):
            return (
                f"Its tier {number}, used up, comes to a part of a minor unit, and Stripe rounds each tier for itself."
            )
    return None


def _widths(tiers: tuple[Tier, ...]) -> Iterator[tuple[Decimal, Tier]]:
    """Yield the units that each tier but the last holds."""
    below = _NOTHING
    for tier in tiers:
        if tier.up_to is not None:
            yield EXACT.subtract(tier.up_to, below), tier
            below = tier.up_to


def _amount_reason(amount: Decimal, unit: Currency) -> str | None:
    exponent = _minor(amount, unit).normalize(EXACT).as_tuple().exponent
    if isinstance(exponent, int) and -exponent > MAX_PROVIDER_PLACES:
        return f"{amount:f} {unit.code} has more than {MAX_PROVIDER_PLACES} places of a minor unit, Stripe's most."
    return None


def _tiers(tiers: tuple[Tier, ...], unit: Currency) -> tuple[ProviderTier, ...]:
    return tuple(
        ProviderTier(up_to=tier.up_to, unit_amount=_minor(tier.unit, unit), flat_amount=_minor(tier.flat, unit))
        for tier in tiers
    )


def _minor(amount: Decimal, unit: Currency) -> Decimal:
    return EXACT.scaleb(amount, unit.minor_places)


def _is_whole(number: Decimal) -> bool:
    return number == number.to_integral_value()
