"""What outstanding units can cost, and how many more a balance can back.

For one price in one period: S = settled units, U = units outstanding in all leases.
    reserved = max over 0 <= n <= U of q(rate(S + n)) - q(rate(S))
Every model shipped so far never falls with the total, so the maximum stands at n = U.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from faregate.base.errors import InvalidInput
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.rating import debit_total


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUse:
    """One price of one account in one period: settled total and units outstanding in leases."""

    price: Price
    settled: Decimal
    outstanding: int


def reserved_amount(use: PriceUse) -> int:
    """Return the most that the outstanding units can still cost, in ledger units."""
    if use.outstanding == 0:
        return 0
    return debit_total(use.price, use.settled + use.outstanding) - debit_total(use.price, use.settled)


def further_cost(use: PriceUse, units: int) -> int:
    """Return by how much the reservation grows when `units` more become outstanding, in ledger units."""
    grown = PriceUse(price=use.price, settled=use.settled, outstanding=use.outstanding + units)
    return reserved_amount(grown) - reserved_amount(use)


def is_affordable(use: PriceUse, units: int, *, budget: int) -> bool:
    """Return whether `units` more cost at most `budget`; no budget is enough for what the ledger cannot hold."""
    try:
        return further_cost(use, units) <= budget
    except InvalidInput:
        return False


def affordable_units(use: PriceUse, *, budget: int, most: int) -> int:
    """Return the largest number of further units, up to `most`, whose `further_cost` is within `budget`, at least 0."""
    if is_affordable(use, most, budget=budget):
        return most
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        if is_affordable(use, middle, budget=budget):
            low = middle
        else:
            high = middle
    return low


def is_exhausted(uses: Collection[PriceUse], *, available: int) -> bool:
    """Return whether no further unit of any price is affordable.

    Units out in leases are not used yet: while there are any, the account is not exhausted. Without a metered price
    there is nothing to run out of, and such an account never is.
    """
    budget = max(available, 0)
    return bool(uses) and all(use.outstanding == 0 and not is_affordable(use, 1, budget=budget) for use in uses)
