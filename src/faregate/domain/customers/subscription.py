"""A company on a plan. A subscription is also the account that credit is kept in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from fractions import Fraction
from typing import Final

from faregate.base.errors import Conflict
from faregate.base.money import Currency
from faregate.base.periods import MONTHLY, Alignment, Cadence, Period, PeriodCalendar, share_of
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceList, PriceSeries
from faregate.domain.customers.prepaid_billing import PrepaidBilling
from faregate.domain.pricing.adjusting import free_of_charge
from faregate.domain.pricing.proration import prorated_price


class Pays(StrEnum):
    """How a subscription pays: stops at zero, credit then invoice, or invoice only."""

    PREPAID = "prepaid"
    CREDIT_FIRST = "credit_first"
    POSTPAID = "postpaid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """[start, end) in which nothing can be used; `end` is None until it is resumed."""

    start: datetime
    end: datetime | None = None

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant and (self.end is None or instant < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingCycle:
    """When periods begin and end, on the wall clock of `zone`.

    A trial is one period before them, free of charge; where it ends, the paid ones are anchored. `ends_at` cuts the
    last one.
    """

    cadence: Cadence = MONTHLY
    zone: tzinfo = UTC
    alignment: Alignment = Alignment.ANNIVERSARY
    trial_ends_at: datetime | None = None
    ends_at: datetime | None = None
    pauses: tuple[Pause, ...] = ()


MONTHLY_CYCLE: Final = BillingCycle()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`started_at` anchors the billing periods; an invoice is due `payment_terms` after it is made.

    `prepaid_billing`: how the billing provider's invoices know of its credit.
    """

    subscription_id: str
    company_id: str
    plan_id: str
    pays: Pays
    currency: Currency
    started_at: datetime
    payment_terms: timedelta
    cycle: BillingCycle = MONTHLY_CYCLE
    prepaid_billing: PrepaidBilling = PrepaidBilling.MIRROR

    def period_at(self, instant: datetime) -> Period | None:
        """Return the billing period that holds `instant`; None before the subscription starts and after it has ended.

        Periods tile the time between: the trial, a first part of a calendar period, whole ones, a last part.
        """
        if not self.lives_at(instant):
            return None
        cycle = self.cycle
        if cycle.trial_ends_at is not None and instant < cycle.trial_ends_at:
            return self._cut(Period(self.started_at, cycle.trial_ends_at))
        found = self._whole_period(instant)
        return self._cut(Period(max(found.start, self._anchor), found.end))

    def lives_at(self, instant: datetime) -> bool:
        """Return whether it has begun and has not ended: whether one of its periods holds the instant."""
        ends_at = self.cycle.ends_at
        return self.started_at <= instant and (ends_at is None or instant < ends_at)

    def can_use(self, instant: datetime) -> bool:
        """Return whether usage of an instant is the subscription's: it has begun, has not ended and is not paused."""
        return self.lives_at(instant) and not any(instant in pause for pause in self.cycle.pauses)

    @property
    def is_uninterrupted(self) -> bool:
        """Return whether every instant of its periods may be used: no trial, pause or end is in the way."""
        cycle = self.cycle
        return cycle.trial_ends_at is None and cycle.ends_at is None and not cycle.pauses

    def price_of(self, series: PriceSeries, *, at: datetime, period: Period) -> Price:
        """Return what the subscription pays of a price for usage of an instant that is billed in a period."""
        version = series.in_force(subscribed_at=self.started_at, at=at, period=period)
        return self.as_paid(series.price(version, self.currency), period_start=period.start)

    def version_paid(self, prices: PriceList, price_id: str, *, period_start: datetime) -> Price:
        """Return what the subscription pays of a version of a price in a period, in its own currency."""
        return self.as_paid(prices.version(price_id, self.currency), period_start=period_start)

    def as_paid(self, price: Price, *, period_start: datetime) -> Price:
        """Return the price in a period: free in the trial, and of a first part of a calendar period its share."""
        if period_start < self._anchor:
            return replace(price, adjustments=free_of_charge(price.adjustments))
        if self.cycle.alignment is Alignment.ANNIVERSARY or period_start > self._anchor:
            return price
        share = self._leading_share()
        return price if share == 1 else prorated_price(price, share)

    def cancelled(self, now: datetime, *, at_period_end: bool) -> Subscription:
        """Return the subscription ending now, or with the period that holds `now`; `Conflict` where it has ended."""
        period = self._live_period(now)
        return self._with(replace(self.cycle, ends_at=period.end if at_period_end else now))

    def ending(self, ends_at: datetime | None) -> Subscription:
        """Return the subscription ending at an instant, or going on without an end."""
        return self._with(replace(self.cycle, ends_at=ends_at))

    def paused(self, now: datetime) -> Subscription:
        """Return the subscription paused from now on; periods go on. `Conflict` where it is paused or has ended."""
        self._live_period(now)
        if any(now in pause for pause in self.cycle.pauses):
            raise Conflict("subscription_id", "is paused already")
        return self._with(replace(self.cycle, pauses=(*self.cycle.pauses, Pause(start=now))))

    def resumed(self, now: datetime) -> Subscription:
        """Return the subscription going on from now; `Conflict` where it is not paused or has ended."""
        self._live_period(now)
        if not any(now in pause for pause in self.cycle.pauses):
            raise Conflict("subscription_id", "is not paused")
        pauses = tuple(replace(pause, end=now) if now in pause else pause for pause in self.cycle.pauses)
        return self._with(replace(self.cycle, pauses=pauses))

    @property
    def calendar(self) -> PeriodCalendar:
        """Return the borders of its periods, as if it had no trial, no pause and no end."""
        cycle = self.cycle
        return PeriodCalendar(anchor=self._anchor, cadence=cycle.cadence, zone=cycle.zone, alignment=cycle.alignment)

    @property
    def _anchor(self) -> datetime:
        """Return where the paid periods begin."""
        return self.cycle.trial_ends_at or self.started_at

    def _whole_period(self, instant: datetime) -> Period:
        """Return the cycle's period that holds an instant, from before the paid ones begin, if need be."""
        return self.calendar.period_containing(instant)

    def _leading_share(self) -> Fraction:
        """Return which share the first paid period is of the calendar period that it ends with."""
        whole = self._whole_period(self._anchor)
        return share_of(whole, Period(self._anchor, whole.end))

    def _live_period(self, now: datetime) -> Period:
        period = self.period_at(now)
        if period is None:
            raise Conflict("subscription_id", "has not begun yet, or has ended")
        return period

    def _with(self, cycle: BillingCycle) -> Subscription:
        return replace(self, cycle=cycle)

    def _cut(self, period: Period) -> Period:
        ends_at = self.cycle.ends_at
        return period if ends_at is None else Period(period.start, min(period.end, ends_at))
