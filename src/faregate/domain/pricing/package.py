"""The package model: the first unit of a package costs the whole package, or its last one where full packages count."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from faregate.base.money import EXACT
from faregate.domain.catalog.models import Package, PackageRounding

_NOTHING = Decimal(0)


def package_amount(model: Package, quantity: Decimal) -> Decimal:
    """Return the packages that the total is charged for x amount, in major units."""
    return EXACT.multiply(packages_charged(model, quantity), model.amount)


def packages_charged(model: Package, quantity: Decimal) -> Decimal:
    """Return how many packages a total is charged for: those it has begun, or those it has filled."""
    match model.rounding:
        case PackageRounding.UP:
            return packages_begun(quantity, model.size)
        case PackageRounding.DOWN:
            return EXACT.divide_int(max(quantity, _NOTHING), model.size)
        case _:
            assert_never(model.rounding)


def packages_begun(quantity: Decimal, size: Decimal) -> Decimal:
    """Return ceil(quantity / size), 0 for a quantity of zero or less."""
    if quantity <= 0:
        return _NOTHING
    whole, rest = EXACT.divmod(quantity, size)
    return EXACT.add(whole, 1) if rest else whole


def units_to_border(quantity: Decimal, size: Decimal) -> Decimal:
    """Return how many units fill the package that a total has begun; 0 where none is open."""
    used = max(quantity, _NOTHING)
    return EXACT.subtract(EXACT.multiply(packages_begun(used, size), size), used)
