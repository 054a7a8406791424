"""Graduated and volume tiers."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from faregate.base.money import EXACT
from faregate.domain.catalog.models import Graduated, Tier, Volume
from faregate.domain.pricing.package import packages_begun

_NOTHING = Decimal(0)


def graduated_amount(model: Graduated, quantity: Decimal) -> Decimal:
    """Return the sum over the tiers that the total has entered."""
    amount = _NOTHING
    for _, part in graduated_parts(model, quantity):
        amount = EXACT.add(amount, part)
    return amount


def graduated_parts(model: Graduated, quantity: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
    """Yield the units and the amount of each tier that the total has entered, the first one always."""
    starts = (_NOTHING, *(tier.up_to for tier in model.tiers if tier.up_to is not None))
    for index, (tier, below) in enumerate(zip(model.tiers, starts, strict=True)):
        if index and quantity <= below:
            break
        top = quantity if tier.up_to is None else min(quantity, tier.up_to)
        units = max(EXACT.subtract(top, below), _NOTHING)
        yield units, _tier_amount(tier, units)


def volume_amount(model: Volume, quantity: Decimal) -> Decimal:
    """Return all units at the price of the tier that the total falls in."""
    index = volume_tier(model, quantity)
    return _NOTHING if index is None else _tier_amount(model.tiers[index], quantity)


def volume_tier(model: Volume, quantity: Decimal) -> int | None:
    """Return the index of the tier that a total falls in; None at zero. `up_to` belongs to its own tier."""
    if quantity <= 0:
        return None
    for index, tier in enumerate(model.tiers):
        if tier.up_to is not None and quantity <= tier.up_to:
            return index
    return len(model.tiers) - 1


def volume_borders(model: Volume, *, above: Decimal, below: Decimal) -> list[Decimal]:
    """Return the totals strictly between two at which a tier ends: the amount may stand highest there."""
    return [tier.up_to for tier in model.tiers if tier.up_to is not None and above < tier.up_to < below]


def _tier_amount(tier: Tier, units: Decimal) -> Decimal:
    counted = units if tier.size is None else packages_begun(units, tier.size)
    amount = EXACT.add(tier.flat, EXACT.multiply(counted, tier.unit))
    return amount if tier.cap is None else min(amount, tier.cap)
