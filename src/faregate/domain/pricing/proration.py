"""Proration: what part of a period's amount a change inside the period gives back and charges.

By seconds, over the half-open period: at its very end there is nothing left to prorate. Credit and charge are rounded
each for itself, half away from zero, and the net is the sum of what is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from fractions import Fraction

from faregate.base.money import quantize_share
from faregate.base.periods import Period, day_containing, days_between, share_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Proration:
    """Minor units: `credit` (zero or less) for the old terms' unused time, `charge` for the new ones'."""

    credit: int
    charge: int

    @property
    def net(self) -> int:
        """Return what the change costs; below zero it gives back."""
        return self.credit + self.charge


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
