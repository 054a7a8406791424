"""The package model: the first unit of a package costs the whole package."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from faregate.base.money import EXACT
from faregate.domain.catalog.models import Package, PackageRounding


def package_amount(model: Package, quantity: Decimal) -> Decimal:
    """Return the packages that the total has begun (or filled, rounding down) x amount, in major units."""
    return EXACT.multiply(packages_begun(model, quantity), model.amount)


def packages_begun(model: Package, quantity: Decimal) -> Decimal:
    """Return how many packages a total is charged for."""
    match model.rounding:
        case PackageRounding.UP:
            return packages_of(quantity, model.size)
        case PackageRounding.DOWN:
            return EXACT.divide_int(max(quantity, Decimal(0)), model.size)
        case _:
            assert_never(model.rounding)


def packages_of(quantity: Decimal, size: Decimal) -> Decimal:
    """Return ceil(quantity / size), 0 for a quantity of zero or less."""
    if quantity <= 0:
        return Decimal(0)
    whole, rest = EXACT.divmod(quantity, size)
    return EXACT.add(whole, 1) if rest else whole


def package_remainder(model: Package, quantity: Decimal) -> Decimal:
    """Return how many more units cost nothing at a total of `quantity`: the rest of a package that is paid or not full."""
    used = max(quantity, Decimal(0))
    begun = EXACT.multiply(packages_begun(model, quantity), model.size)
    match model.rounding:
        case PackageRounding.UP:
            return EXACT.subtract(begun, used)
        case PackageRounding.DOWN:
            # The unit that fills the package is the one that costs.
            return EXACT.subtract(EXACT.subtract(EXACT.add(begun, model.size), used), 1)
        case _:
            assert_never(model.rounding)
