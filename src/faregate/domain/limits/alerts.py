"""When to say that a limit, or a balance, is near its end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from faregate.base.errors import FieldFault
from faregate.base.money import EXACT

_HUNDRED: Final = Decimal(100)


def crossed(percentages: Collection[int], *, amount: Decimal, before: Decimal, after: Decimal) -> tuple[int, ...]:
    """Return the percentages of `amount` that are reached by `after` and were not by `before`, in their order."""
    return tuple(
        sorted(
            percent
            for percent in set(percentages)
            if EXACT.multiply(before, _HUNDRED) < EXACT.multiply(amount, Decimal(percent))
            and EXACT.multiply(after, _HUNDRED) >= EXACT.multiply(amount, Decimal(percent))
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceAlert:
    """Says when credit runs low: below an amount (of major units of `currency`), or a percentage of the last grant.

    One of the two is set. `subscription_id` None: of every subscription that pays with credit, each for itself.
    """

    balance_alert_id: str
    name: str
    subscription_id: str | None
    below_amount: Decimal | None
    currency: str | None
    below_percent: int | None

    def is_low(self, available: Decimal, *, currency: str, last_grant: Decimal | None) -> bool:
        """Return whether what is available is below the threshold; without a grant no percentage is."""
        if self.below_amount is not None:
            return currency == self.currency and available < self.below_amount
        if last_grant is None or self.below_percent is None:
            return False
        return EXACT.multiply(available, _HUNDRED) < EXACT.multiply(last_grant, Decimal(self.below_percent))


def balance_alert_faults(alert: BalanceAlert) -> list[FieldFault]:
    """Return everything that is wrong with it by itself."""
    faults = []
    if (alert.below_amount is None) == (alert.below_percent is None):
        faults.append(FieldFault(field="below_amount", message="give either this or 'below_percent'"))
    if (alert.below_amount is None) != (alert.currency is None):
        faults.append(FieldFault(field="currency", message="is required for 'below_amount', and goes with it alone"))
    if alert.below_amount is not None and alert.below_amount <= 0:
        faults.append(FieldFault(field="below_amount", message="must be more than 0"))
    if alert.below_percent is not None and not 1 <= alert.below_percent <= _HUNDRED:
        faults.append(FieldFault(field="below_percent", message="must be a whole percentage from 1 to 100"))
    return faults
