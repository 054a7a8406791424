"""A price's adjustments, applied in the order that `catalog/adjustments.py` states."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from faregate.base.money import EXACT
from faregate.domain.catalog.adjustments import Adjustments, Discount, FixedDiscount, PercentDiscount

_NOTHING = Decimal(0)
_WHOLE = Decimal(100)
_HUNDREDTH = Decimal("0.01")


class Adjusting(StrEnum):
    """A step that may change an amount while the period runs."""

    DISCOUNT = "discount"
    OVERAGE = "overage"
    MAXIMUM = "maximum"


def billable_units(adjustments: Adjustments, total: Decimal) -> Decimal:
    """Return the total less the included units, never below zero."""
    if not adjustments.included_units:
        return total
    return max(EXACT.subtract(total, adjustments.included_units), _NOTHING)


def discounted(discount: Discount, amount: Decimal) -> Decimal:
    """Return an amount after one discount, never below zero."""
    match discount:
        case PercentDiscount(percent=percent):
            return EXACT.multiply(EXACT.multiply(amount, EXACT.subtract(_WHOLE, percent)), _HUNDREDTH)
        case FixedDiscount(amount=off):
            return max(EXACT.subtract(amount, off), _NOTHING)
        case _:
            assert_never(discount)


def adjusting_steps(adjustments: Adjustments, gross: Decimal) -> Iterator[tuple[Adjusting, Decimal]]:
    """Yield the amount after each step in turn, those that change nothing too."""
    amount = gross
    for discount in adjustments.discounts:
        amount = discounted(discount, amount)
        yield Adjusting.DISCOUNT, amount
    commitment = adjustments.commitment
    if commitment is not None and amount > commitment.amount:
        beyond = EXACT.subtract(amount, commitment.amount)
        amount = EXACT.add(commitment.amount, EXACT.multiply(beyond, commitment.overage))
        yield Adjusting.OVERAGE, amount
    if adjustments.maximum_spend is not None:
        amount = min(amount, adjustments.maximum_spend)
        yield Adjusting.MAXIMUM, amount


def adjusted_usage(adjustments: Adjustments, gross: Decimal) -> Decimal:
    """Return what usage of this gross amount costs while the period runs."""
    amount = gross
    for _, after in adjusting_steps(adjustments, gross):
        amount = after
    return amount


def free_of_charge(adjustments: Adjustments) -> Adjustments:
    """Return adjustments by which nothing is due, whatever is used; included units stay what they are."""
    return Adjustments(included_units=adjustments.included_units, discounts=(PercentDiscount(percent=_WHOLE),))


def least_spend(adjustments: Adjustments) -> Decimal:
    """Return what the period costs at least, charged at its end as far as usage has not come to it."""
    if adjustments.commitment is not None:
        return adjustments.commitment.amount
    return adjustments.minimum_spend if adjustments.minimum_spend is not None else _NOTHING
