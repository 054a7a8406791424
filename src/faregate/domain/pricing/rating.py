"""From a total to money, for every model. The only functions that the ledger, leases and invoices call.

A total is kept for each dimension key of a price (`()` where the price has no dimensions); adjustments are the
price's, so amounts are rated over all its totals together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, assert_never

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

WHOLE: Final[DimensionKey] = ()
"""The key of a price without dimensions."""

OTHER: Final = "*"
"""What every field of a key says whose values the table does not name, and the default prices."""

_NOTHING: Final = Decimal(0)


def whole(total: Decimal) -> dict[DimensionKey, Decimal]:
    """Return the totals of a price without dimensions."""
    return {WHOLE: total}


def gross_amount(model: LeafModel, total: Decimal) -> Decimal:
    """Return the exact amount of a total, in major units, before any adjustment."""
    match model:
        case Flat(amount=amount):
            return amount
        case PerUnit(amount=amount):
            return EXACT.multiply(max(total, _NOTHING), amount)
        case Package():
            return package_amount(model, total)
        case Graduated():
            return graduated_amount(model, total)
        case Volume():
            return volume_amount(model, total)
        case Percentage():
            return max(total, _NOTHING)
        case _:
            assert_never(model)


def priced_key(model: PricingModel, values: DimensionKey) -> DimensionKey | None:
    """Return the key under which an event with these values of the dimension's fields is totalled.

    None where the table does not name them and there is no default: nothing prices the event.
    """
    if not isinstance(model, ByDimension):
        return WHOLE
    if values in model.table:
        return values
    return None if model.default is None else (OTHER,) * len(model.fields)


def leaf_of(model: PricingModel, key: DimensionKey) -> LeafModel | None:
    """Return the model that prices a key of `priced_key`; None for one that nothing prices any more."""
    return model.table.get(key, model.default) if isinstance(model, ByDimension) else model


def priced_keys(model: PricingModel) -> Iterator[DimensionKey]:
    """Yield every key that `priced_key` can give."""
    if not isinstance(model, ByDimension):
        yield WHOLE
        return
    yield from model.table
    if model.default is not None:
        yield (OTHER,) * len(model.fields)


def leaves(model: ByDimension) -> Iterator[LeafModel]:
    """Yield the models that price the keys, in their order."""
    yield from model.table.values()
    if model.default is not None:
        yield model.default


def priced_units(price: Price, totals: Totals) -> Iterator[tuple[DimensionKey, LeafModel, Decimal]]:
    """Yield each key that something prices, in order, with its model and the units that are left to pay."""
    for key in sorted(totals):
        model = leaf_of(price.model, key)
        if model is not None:
            yield key, model, billable_units(price.adjustments, totals[key])


def rate(price: Price, totals: Totals) -> Decimal:
    """Return the exact amount, in major units, that usage of these totals costs while the period runs.

    A total of zero costs nothing yet: what is due without usage (a flat fee, the first tier's) is charged with the
    first unit, or else at the period's end by `rate_period`.
    """
    return _adjusted(price, {key: total for key, total in totals.items() if total > 0})


def rate_period(price: Price, totals: Totals) -> Decimal:
    """Return the exact amount, in major units, of the whole period: usage and flat fees, or the least agreed."""
    return max(_adjusted(price, totals or untouched(price)), least_spend(price.adjustments))


def debit_total(price: Price, totals: Totals) -> int:
    """Return q(rate(totals)): what all debits of the period add up to, in ledger units."""
    return to_ledger_units(rate(price, totals), price.currency)


def line_amount(price: Price, totals: Totals) -> int:
    """Return the invoice line's amount in minor units, rounded once, half away from zero."""
    return to_minor_units(rate_period(price, totals), price.currency)


def true_up(price: Price, totals: Totals) -> int:
    """Return what the line charges beyond the rounded usage, in minor units: what usage lacks of the least agreed."""
    return line_amount(price, totals) - to_minor_units(_adjusted(price, totals or untouched(price)), price.currency)


def is_due_without_usage(price: Price) -> bool:
    """Return whether a period in which nothing is used costs something: a flat fee, a minimum or a commitment."""
    return rate_period(price, {}) > 0


def untouched(price: Price) -> dict[DimensionKey, Decimal]:
    """Return the totals of a period without usage. Of a price by dimension, no key has been entered."""
    return {} if isinstance(price.model, ByDimension) else whole(_NOTHING)


def _adjusted(price: Price, totals: Totals) -> Decimal:
    gross = _NOTHING
    for _, model, units in priced_units(price, totals):
        gross = EXACT.add(gross, gross_amount(model, units))
    return adjusted_usage(price.adjustments, gross)
