"""What outstanding units can cost, and how many more a balance can back.

For one price in one period: S = settled units, U = units outstanding in all leases.
    reserved = max over 0 <= n <= U of q(rate(S + n)) - q(rate(S))
The maximum stands at n = U, but for volume tiers: there the amount may fall as the total enters the next tier, so the
units just before each border are tried too. Units of a price by dimension may all turn out to be of its dearest key.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal

from faregate.base.errors import InvalidInput
from faregate.base.money import EXACT
from faregate.domain.catalog.models import ByDimension, Percentage, PerUnit, Volume
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.rating import WHOLE, Totals, debit_total, is_due_without_usage, leaves, priced_keys
from faregate.domain.pricing.tiers import volume_borders

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUse:
    """One price of one account in one period: settled totals and units outstanding in leases."""

    price: Price
    totals: Totals
    outstanding: int

    def with_more(self, units: int) -> PriceUse:
        """Return the use with `units` more outstanding."""
        return replace(self, outstanding=self.outstanding + units)


def why_unreservable(price: Price) -> str | None:
    """Return why what a call may cost by this price has no bound before the call; None where it has one."""
    if is_due_without_usage(price):
        return "costs something even if nothing is used (a flat fee, a minimum spend or a commitment)"
    if isinstance(price.model, Percentage):
        return "is a percentage of a value that is known only after the call"
    if isinstance(price.model, ByDimension) and not all(isinstance(leaf, PerUnit) for leaf in leaves(price.model)):
        return "has packages, tiers or percentages by dimension"
    return None


def reserved_amount(use: PriceUse) -> int:
    """Return the most that the outstanding units can still cost, in ledger units."""
    if use.outstanding == 0:
        return 0
    settled = debit_total(use.price, use.totals)
    return max(0, *(debit_total(use.price, totals) - settled for totals in _candidates(use)))


def further_cost(use: PriceUse, units: int) -> int:
    """Return by how much the reservation grows when `units` more become outstanding, in ledger units."""
    return reserved_amount(use.with_more(units)) - reserved_amount(use)


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
    return bool(uses) and not any(use.outstanding or _is_next_affordable(use, budget) for use in uses)


def _is_next_affordable(use: PriceUse, budget: int) -> bool:
    if isinstance(use.price.model, Percentage):
        # What the next event costs is known only from the event: anything left may be enough.
        return budget > 0
    settled = debit_total(use.price, use.totals)
    return any(_costs_at_most(use.price, settled + budget, totals) for totals in _with_units(use, Decimal(1)))


def _costs_at_most(price: Price, most: int, totals: Totals) -> bool:
    try:
        return debit_total(price, totals) <= most
    except InvalidInput:
        return False


def _candidates(use: PriceUse) -> Iterator[Totals]:
    """Yield totals with outstanding units used, among which the dearest is."""
    units = Decimal(use.outstanding)
    yield from _with_units(use, units)
    model = use.price.model
    if isinstance(model, Volume):
        # A border is a total, after the included units are taken off.
        settled = EXACT.subtract(use.totals.get(WHOLE, _NOTHING), use.price.adjustments.included_units)
        for border in volume_borders(model, above=settled, below=EXACT.add(settled, units)):
            before = EXACT.subtract(border, settled).to_integral_value(rounding=ROUND_FLOOR)
            yield from _with_units(use, before)


def _with_units(use: PriceUse, units: Decimal) -> Iterator[Totals]:
    """Yield the totals with `units` more; of a price by dimension, for every key that they may be of."""
    for key in priced_keys(use.price.model):
        yield dict(use.totals) | {key: EXACT.add(use.totals.get(key, _NOTHING), units)}
