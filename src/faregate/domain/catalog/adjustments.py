"""What changes the amount of a model, in the order in which it is applied.

    included units -> model -> discounts, in their order -> maximum spend -> minimum spend or commitment

The maximum holds while the period runs; what the minimum or the commitment lacks is charged once, at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentDiscount:
    """`percent` off what is left so far, 0 to 100."""

    percent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedDiscount:
    """`amount` off, in major units, a period; never below zero."""

    amount: Decimal


Discount = PercentDiscount | FixedDiscount


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """`amount` a period is owed even if less is used; usage beyond it costs `overage` times its price."""

    amount: Decimal
    overage: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustments:
    """All of a price's adjustments; the default changes nothing. A price has a minimum or a commitment, not both."""

    included_units: Decimal = Decimal(0)
    discounts: tuple[Discount, ...] = ()
    maximum_spend: Decimal | None = None
    minimum_spend: Decimal | None = None
    commitment: Commitment | None = None
