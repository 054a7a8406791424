"""Coupons: what comes off an invoice as a whole, after its lines are rounded and before credit pays for it.

In the order in which they were given, each from what the earlier ones left; the total never falls below zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import assert_never

from faregate.base.money import quantize_share


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentCoupon:
    """`percent` off what is left, 0 to 100; rounded to the minor unit, half away from zero."""

    percent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCoupon:
    """`amount` minor units off, at most what is left."""

    amount: int


Coupon = PercentCoupon | FixedCoupon


def coupon_discounts(subtotal: int, coupons: Iterable[Coupon]) -> list[int]:
    """Return what each coupon takes off, in minor units."""
    discounts, left = [], subtotal
    for coupon in coupons:
        match coupon:
            case PercentCoupon(percent=percent):
                off = quantize_share(Decimal(left), Fraction(percent) / 100, 0)
            case FixedCoupon(amount=amount):
                off = amount
            case _:
                assert_never(coupon)
        off = min(off, left)
        discounts.append(off)
        left -= off
    return discounts
