"""Which billing periods a provider can make by itself, so that they are ours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from faregate.base.periods import Alignment, Cadence, CadenceUnit, PeriodCalendar
from faregate.domain.customers.subscription import Subscription

_EVERY_MONTH_HAS: Final = 28
_MONTHS_OF_A_QUARTER: Final = 3
_MOST: Final = {CadenceUnit.DAY: 1_095, CadenceUnit.WEEK: 156, CadenceUnit.MONTH: 36, CadenceUnit.YEAR: 3}
"""Stripe's periods are at most three years long (docs.stripe.com/api/prices/create)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCycle:
    """Periods of `interval_count` intervals: `day`, `week`, `month` or `year`. The first ends at `first_border`.

    `anchor_day`: the day of the month of all borders, where months are that have no such day.
    """

    interval: str
    interval_count: int
    first_border: datetime
    anchor_day: int | None


def provider_cycle(subscription: Subscription, now: datetime) -> ProviderCycle | None:
    """Return a subscription's periods from `now` on as Stripe makes them.

    None before it begins, after it has ended, and where Stripe has no such periods: borders on another clock than UTC,
    which move with summer time, more than three years, and months in groups from a day that not every month has.
    """
    if not subscription.lives_at(now):
        return None
    calendar, trial_ends_at = subscription.calendar, subscription.cycle.trial_ends_at
    unit, count = _interval(calendar.cadence)
    day = _anchor_day(calendar)
    is_uneven = day is not None and (unit, count) != (CadenceUnit.MONTH, 1)
    if str(calendar.zone) != str(UTC) or count > _MOST[unit] or is_uneven:
        return None
    in_trial = trial_ends_at is not None and now < trial_ends_at
    border = trial_ends_at if in_trial and trial_ends_at is not None else calendar.period_containing(now).end
    return ProviderCycle(interval=unit.value, interval_count=count, first_border=border, anchor_day=day)


def _interval(cadence: Cadence) -> tuple[CadenceUnit, int]:
    if cadence.unit is CadenceUnit.QUARTER:
        return CadenceUnit.MONTH, cadence.count * _MONTHS_OF_A_QUARTER
    return cadence.unit, cadence.count


def _anchor_day(calendar: PeriodCalendar) -> int | None:
    """Return the day that borders fall back from, if months are counted from one that not all have."""
    counts_months = calendar.cadence.unit not in {CadenceUnit.DAY, CadenceUnit.WEEK}
    is_anniversary = calendar.alignment is Alignment.ANNIVERSARY
    return calendar.anchor.day if counts_months and is_anniversary and calendar.anchor.day > _EVERY_MONTH_HAS else None
