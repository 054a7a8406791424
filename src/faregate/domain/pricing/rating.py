"""From a total to money, for every model. The only functions that the ledger, leases and invoices call."""

from __future__ import annotations

from decimal import Decimal

from faregate.base.money import to_ledger_units, to_minor_units
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.package import package_amount, package_remainder


def rate(price: Price, total: Decimal) -> Decimal:
    """Return the exact amount, in major units, of a period's `total` at `price`."""
    return package_amount(price.model, total)


def debit_total(price: Price, total: Decimal) -> int:
    """Return q(rate(total)): what all debits of the period add up to, in ledger units."""
    return to_ledger_units(rate(price, total), price.currency)


def line_amount(price: Price, total: Decimal) -> int:
    """Return the invoice line's amount in minor units, rounded once, half away from zero."""
    return to_minor_units(rate(price, total), price.currency)


def units_paid_ahead(price: Price, total: Decimal) -> Decimal:
    """Return how many more units cost nothing at a total of `total`: the open package's remainder."""
    return package_remainder(price.model, total)
