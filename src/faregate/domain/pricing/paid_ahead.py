"""How many more units cost nothing: included ones, and the rest of a package that is paid."""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

from faregate.base.money import EXACT
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    Package,
    PackageRounding,
    Percentage,
    PerUnit,
    Volume,
)
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.adjusting import billable_units
from faregate.domain.pricing.package import units_to_border
from faregate.domain.pricing.rating import WHOLE, Totals

_NOTHING = Decimal(0)


def units_paid_ahead(price: Price, totals: Totals) -> Decimal:
    """Return the included units and the package's rest that are left; 0 for a price whose units have dimensions.

    It is what an operator is shown. What a further unit costs exactly is the difference of two ratings.
    """
    total = max(totals.get(WHOLE, _NOTHING), _NOTHING)
    included = max(EXACT.subtract(price.adjustments.included_units, total), _NOTHING)
    billable = billable_units(price.adjustments, total)
    match price.model:
        case ByDimension() | Percentage() | Flat():
            return _NOTHING
        case Package(size=size, rounding=rounding):
            rest = units_to_border(billable, size)
            if rounding is PackageRounding.DOWN:
                # The unit that fills the package is the one that costs.
                rest = max(EXACT.subtract(rest or size, 1), _NOTHING)
            return EXACT.add(included, rest)
        case PerUnit() | Graduated() | Volume():
            return included
        case _:
            assert_never(price.model)
