"""Coupons: what comes off an invoice as a whole, after its lines are rounded and before credit pays for it.

In the order in which they were given, each from what the earlier ones left; the total never falls below zero. A coupon
has a period for as often as it took something off: a period that owes nothing, or from which earlier coupons left
nothing, uses none up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Final, assert_never

from faregate.base.errors import FieldFault
from faregate.base.limits import MAX_AMOUNT_PLACES, MAX_COUPON_PERIODS
from faregate.base.money import EXACT, Currency, quantize_share
from faregate.base.periods import Period

_MOST_PERCENT: Final = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentCoupon:
    """`percent` off what is left, 0 to 100; rounded to the minor unit, half away from zero."""

    percent: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedCoupon:
    """`amount` minor units off, at most what is left; for invoices in its currency alone."""

    amount: int
    currency: Currency


Coupon = PercentCoupon | FixedCoupon


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponOffer:
    """A coupon that subscriptions can be given.

    `periods`: how many it takes something off, None for all. It can be given before `redeem_by`, `max_redemptions`
    times in all; one that was given stays, whatever becomes of its offer.
    """

    coupon_id: str
    name: str
    off: Coupon
    periods: int | None = None
    redeem_by: datetime | None = None
    max_redemptions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenCoupon:
    """A coupon on a subscription; `used`: the periods that it took something off."""

    redemption_id: str
    offer: CouponOffer
    given_at: datetime
    removed_at: datetime | None = None
    used: int = 0

    @property
    def is_used_up(self) -> bool:
        """Return whether it has taken something off as many periods as it may."""
        return self.offer.periods is not None and self.used >= self.offer.periods

    @property
    def is_active(self) -> bool:
        """Return whether it can take something off an invoice to come."""
        return self.removed_at is None and not self.is_used_up

    def covers(self, period: Period) -> bool:
        """Return whether it takes from the period's invoice: one that was given in the period does, whole.

        One that was removed in the period does not. The instant of a period's end belongs to the next one.
        """
        if self.given_at >= period.end or (self.removed_at is not None and self.removed_at < period.end):
            return False
        return not self.is_used_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """What a coupon takes off an invoice, in minor units."""

    coupon: GivenCoupon
    amount: int


def coupon_discounts(subtotal: int, coupons: Iterable[Coupon]) -> list[int]:
    """Return what each coupon takes off, in minor units."""
    discounts, left = [], max(0, subtotal)
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


def period_discounts(subtotal: int, given: Sequence[GivenCoupon], period: Period) -> list[Discount]:
    """Return what every coupon that covers the period takes off its invoice; `given` in the order of giving."""
    covering = [coupon for coupon in given if coupon.covers(period)]
    amounts = coupon_discounts(subtotal, [coupon.offer.off for coupon in covering])
    return [Discount(coupon=coupon, amount=amount) for coupon, amount in zip(covering, amounts, strict=True)]


def offer_faults(offer: CouponOffer) -> list[FieldFault]:
    """Return what is wrong with an offer, by the field of the API that says it."""
    return list(_faults(offer))


def _faults(offer: CouponOffer) -> Iterator[FieldFault]:
    match offer.off:
        case PercentCoupon(percent=percent):
            exponent = percent.normalize(EXACT).as_tuple().exponent if percent.is_finite() else None
            if not isinstance(exponent, int) or not 0 < percent <= _MOST_PERCENT or -exponent > MAX_AMOUNT_PLACES:
                message = f"must be above 0 and at most 100, with at most {MAX_AMOUNT_PLACES} decimal places"
                yield FieldFault(field="percent", message=message)
        case FixedCoupon(amount=amount):
            if amount <= 0:
                yield FieldFault(field="amount", message="must be above zero, for example '10.00'")
        case _:
            assert_never(offer.off)
    if offer.periods is not None and not 1 <= offer.periods <= MAX_COUPON_PERIODS:
        yield FieldFault(field="periods", message=f"must be from 1 to {MAX_COUPON_PERIODS}")
