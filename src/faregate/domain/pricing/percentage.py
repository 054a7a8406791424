"""The percentage model: each event is rated by itself, and the total is the sum of those amounts."""

from __future__ import annotations

from decimal import Decimal

from faregate.base.money import EXACT
from faregate.domain.catalog.models import Percentage

_HUNDREDTH = Decimal("0.01")


def event_amount(model: Percentage, value: Decimal) -> Decimal:
    """Return what one event of this value costs, in major units: at least the minimum and at most the maximum."""
    share = EXACT.multiply(EXACT.multiply(value, model.percent), _HUNDREDTH)
    amount = EXACT.add(share, model.fixed)
    if model.minimum is not None:
        amount = max(amount, model.minimum)
    if model.maximum is not None:
        amount = min(amount, model.maximum)
    return amount
