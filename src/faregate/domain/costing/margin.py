"""Revenue, cost, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from faregate.base.errors import InvalidInput
from faregate.base.money import EXACT, Currency, from_ledger_units, quantize_share
from faregate.domain.costing.cost import cost_places

_PERCENT_PLACES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """Events of one currency: `revenue` in ledger units, `cost` in 10**-`cost_places`.

    Of uncosted events there is a revenue and no cost, so they count for no margin.
    """

    currency: Currency
    event_count: int
    uncosted_count: int
    revenue: int
    uncosted_revenue: int
    cost: int

    @property
    def cost_amount(self) -> Decimal:
        """Return the cost in major units."""
        return plain_cost(self.cost, self.currency)

    @property
    def amount(self) -> Decimal:
        """Return the margin in major units: revenue less cost, of costed events."""
        return EXACT.subtract(self._costed_revenue, self.cost_amount)

    @property
    def percent(self) -> Decimal | None:
        """Return the margin's share of the costed revenue; None where there is none, or none that can be written."""
        revenue = self._costed_revenue
        if revenue <= 0:
            return None
        share = Fraction(self.amount) / Fraction(revenue)
        try:
            hundredths = quantize_share(Decimal(100), share, _PERCENT_PLACES)
        except InvalidInput:
            return None
        return Decimal(hundredths).scaleb(-_PERCENT_PLACES)

    @property
    def is_below_cost(self) -> bool:
        """Return whether costed events cost more than they brought."""
        return self.amount < 0

    @property
    def _costed_revenue(self) -> Decimal:
        return from_ledger_units(self.revenue - self.uncosted_revenue, self.currency)


def plain_cost(cost: int, unit: Currency) -> Decimal:
    """Return a cost as an amount of major units, without trailing zeros beyond the minor unit."""
    amount = EXACT.scaleb(Decimal(cost), -cost_places(unit)).normalize(EXACT)
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -unit.minor_places:
        return amount.quantize(Decimal(1).scaleb(-unit.minor_places), context=EXACT)
    return amount
