"""Proration: what part of a period's amount a change inside the period gives back and charges.

By seconds, over the half-open period: at its very end there is nothing left to prorate. Credit and charge are rounded
each for itself, half away from zero, and the net is the sum of what is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Final

from faregate.base.money import EXACT, quantize_share
from faregate.base.periods import Period, day_containing, days_between, share_of
from faregate.domain.catalog.adjustments import Adjustments, Discount, FixedDiscount
from faregate.domain.catalog.models import ByDimension, Flat, LeafModel, PricingModel
from faregate.domain.catalog.price import Price

_SHARE_PLACES: Final = 15
"""Shares of amounts are kept to so many decimals: no line, rounded to the minor unit later, can tell the difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proration:
    """Minor units: `credit` (zero or less) for the old terms' unused time, `charge` for the new ones'."""

    credit: int
    charge: int

    @property
    def net(self) -> int:
        """Return what the change costs; below zero it gives back."""
        return self.credit + self.charge


def prorated_price(price: Price, share: Fraction) -> Price:
    """Return the price for a part of its period: what is agreed for a period counts for its share, units stay whole.

    Flat fees, the minimum or commitment, the maximum and fixed discounts; to 15 decimals, half away from zero.
    """
    return replace(price, model=_model(price.model, share), adjustments=_adjustments(price.adjustments, share))


def share_left(period: Period, at: datetime) -> Fraction:
    """Return which share of the period is still to come at an instant, from 1 at its start to 0 at its end."""
    return share_of(period, Period(at, period.end))


def prorated_change(*, old: Decimal, new: Decimal, share: Fraction, places: int) -> Proration:
    """Return what changing from an amount a period to another gives back and charges for the share that is left.

    Amounts in major units; `places` are the currency's minor ones.
    """
    return Proration(credit=-quantize_share(old, share, places), charge=quantize_share(new, share, places))


def prorated_seats(*, unit: Decimal, before: int, after: int, share: Fraction, places: int) -> int:
    """Return what a change of seats costs at the present price, in minor units; below zero it gives back."""
    return quantize_share(unit * (after - before), share, places)


def share_of_days(period: Period, present: Iterable[Period], zone: tzinfo) -> Fraction:
    """Return on which share of a period's days something was there, for however little of the day and however often."""
    days = set()
    for span in present:
        start, end = max(span.start, period.start), min(span.end, period.end)
        while start < end:
            day = day_containing(start, zone)
            days.add(day.start)
            start = day.end
    return Fraction(len(days), days_between(period.start, period.end, zone))


def _model(model: PricingModel, share: Fraction) -> PricingModel:
    if not isinstance(model, ByDimension):
        return _leaf(model, share)
    table = {key: _leaf(leaf, share) for key, leaf in model.table.items()}
    return replace(model, table=table, default=None if model.default is None else _leaf(model.default, share))


def _leaf(model: LeafModel, share: Fraction) -> LeafModel:
    return Flat(amount=_part(model.amount, share)) if isinstance(model, Flat) else model


def _adjustments(adjustments: Adjustments, share: Fraction) -> Adjustments:
    maximum, minimum, commitment = adjustments.maximum_spend, adjustments.minimum_spend, adjustments.commitment
    return replace(
        adjustments,
        discounts=tuple(_discount(discount, share) for discount in adjustments.discounts),
        maximum_spend=None if maximum is None else _part(maximum, share),
        minimum_spend=None if minimum is None else _part(minimum, share),
        commitment=None if commitment is None else replace(commitment, amount=_part(commitment.amount, share)),
    )


def _discount(discount: Discount, share: Fraction) -> Discount:
    return FixedDiscount(amount=_part(discount.amount, share)) if isinstance(discount, FixedDiscount) else discount


def _part(amount: Decimal, share: Fraction) -> Decimal:
    """Return the share of an amount of zero or more."""
    exact = Fraction(amount) * share * 10**_SHARE_PLACES
    rounded = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
    return EXACT.scaleb(Decimal(rounded), -_SHARE_PLACES).normalize(EXACT)
