"""From a total to money, for every model. The only functions that the ledger, leases and invoices call.

A total is kept for each dimension key of a price (`()` where the price has no dimensions); adjustments are the price's, so
amounts are rated over all its totals together.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import assert_never

from faregate.base.money import EXACT, to_ledger_units, to_minor_units
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    LeafModel,
    Package,
    Percentage,
    PerUnit,
    PricingModel,
    Volume,
)
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.adjusting import adjusted_usage, billable_units, least_spend
from faregate.domain.pricing.package import package_amount
from faregate.domain.pricing.tiers import graduated_amount, volume_amount

DimensionKey = tuple[str, ...]
Totals = Mapping[DimensionKey, Decimal]
WHOLE: DimensionKey = ()


def gross_amount(model: LeafModel, total: Decimal) -> Decimal:
    """Return the exact amount of a total, in major units, before any adjustment."""
    match model:
        case Flat(amount=amount):
            return amount
        case PerUnit(amount=amount):
            return EXACT.multiply(max(total, Decimal(0)), amount)
        case Package():
            return package_amount(model, total)
        case Graduated():
            return graduated_amount(model, total)
        case Volume():
            return volume_amount(model, total)
        case Percentage():
            return max(total, Decimal(0))
        case _:
            assert_never(model)


def model_for(model: PricingModel, key: DimensionKey) -> LeafModel | None:
    """Return the model that prices a dimension key; None where the table does not name it and there is no default."""
    if isinstance(model, ByDimension):
        return model.table.get(key, model.default)
    return model


def rate(price: Price, totals: Totals) -> Decimal:
    """Return the exact amount, in major units, that usage of these totals costs while the period runs."""
    gross = Decimal(0)
    for key, total in totals.items():
        model = model_for(price.model, key)
        if model is not None:
            gross = EXACT.add(gross, gross_amount(model, billable_units(price.adjustments, total)))
    return adjusted_usage(price.adjustments, gross)


def rate_period(price: Price, totals: Totals) -> Decimal:
    """Return the exact amount, in major units, of the whole period: usage, or the least that was agreed."""
    return max(rate(price, totals or {WHOLE: Decimal(0)}), least_spend(price.adjustments))


def debit_total(price: Price, totals: Totals) -> int:
    """Return q(rate(totals)): what all debits of the period add up to, in ledger units."""
    return to_ledger_units(rate(price, totals), price.currency)


def line_amount(price: Price, totals: Totals) -> int:
    """Return the invoice line's amount in minor units, rounded once, half away from zero."""
    return to_minor_units(rate_period(price, totals), price.currency)
