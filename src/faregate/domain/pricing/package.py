"""The package model: the first unit of a package costs the whole package."""

from __future__ import annotations

from decimal import Decimal

from faregate.base.money import EXACT
from faregate.domain.catalog.price import Package


def package_amount(model: Package, quantity: Decimal) -> Decimal:
    """Return ceil(quantity / size) x amount in major units; nothing for a quantity of zero or less."""
    return EXACT.multiply(packages_begun(model, quantity), model.amount)


def packages_begun(model: Package, quantity: Decimal) -> Decimal:
    """Return how many packages a total has begun."""
    if quantity <= 0:
        return Decimal(0)
    whole, rest = EXACT.divmod(quantity, model.size)
    return EXACT.add(whole, 1) if rest else whole


def package_remainder(model: Package, quantity: Decimal) -> Decimal:
    """Return the units of the open package that are paid ahead at a total of `quantity`."""
    return EXACT.subtract(EXACT.multiply(packages_begun(model, quantity), model.size), max(quantity, Decimal(0)))
