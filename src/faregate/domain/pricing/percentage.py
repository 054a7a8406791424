"""The percentage model: each event is rated by itself, and the total is the sum of those amounts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from faregate.base.money import EXACT
from faregate.domain.catalog.models import Percentage

_NOTHING = Decimal(0)
_HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsSoFar:
    """How many events of a period were rated, and the sum of their values: what a free allowance depends on."""

    count: int = 0
    value: Decimal = _NOTHING

    def plus(self, value: Decimal) -> EventsSoFar:
        """Return the state after one more event."""
        return EventsSoFar(count=self.count + 1, value=EXACT.add(self.value, value))


def event_amount(model: Percentage, value: Decimal, before: EventsSoFar) -> Decimal:
    """Return what one event of this value costs after others, in major units."""
    free = _free_part(model, value, before)
    if free is not None and free >= value:
        return _NOTHING
    paid = value if free is None else EXACT.subtract(value, free)
    amount = EXACT.add(EXACT.multiply(EXACT.multiply(paid, model.percent), _HUNDREDTH), model.fixed)
    if model.minimum is not None:
        amount = max(amount, model.minimum)
    if model.maximum is not None:
        amount = min(amount, model.maximum)
    return amount


def events_amount(model: Percentage, values: Iterable[Decimal]) -> Decimal:
    """Return what a period's events cost, in their order."""
    total, before = _NOTHING, EventsSoFar()
    for value in values:
        total = EXACT.add(total, event_amount(model, value, before))
        before = before.plus(value)
    return total


def _free_part(model: Percentage, value: Decimal, before: EventsSoFar) -> Decimal | None:
    """Return how much of the value is free; None where no allowance is left."""
    if model.free_events is None and model.free_value is None:
        return None
    if model.free_events is not None and before.count >= model.free_events:
        return None
    if model.free_value is None:
        return value
    left = EXACT.subtract(model.free_value, before.value)
    return min(value, left) if left > 0 else None
