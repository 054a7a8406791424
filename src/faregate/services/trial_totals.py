"""What a draft meter adds up to, window by window and period by period, without writing anything."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import NamedTuple

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.limits import MAX_TRIAL_WINDOWS
from faregate.base.money import EXACT, from_minor_units
from faregate.base.periods import Period
from faregate.domain.catalog.price import Price
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.aggregate import Aggregate, Total, merge
from faregate.domain.metering.event import Event
from faregate.domain.metering.meter import GroupKey, Meter
from faregate.domain.metering.windows import ReportingPeriod, usage_window
from faregate.domain.pricing.rating import line_amount
from faregate.services.meter_totals import units_of
from faregate.storage.database import Transaction
from faregate.storage.subscriptions import subscriptions_to_plan
from faregate.wire.api.common import plain
from faregate.wire.api.meter_trials import TrialTotalView, TrialWindowView

_NOTHING = Decimal(0)


class _Place(NamedTuple):
    """A window of a company and group; it starts where its window does, or the billing period if that is later."""

    company_id: str
    start_us: int
    group: GroupKey


@dataclass(slots=True)
class _Used:
    """What a window holds: units of an additive meter, else the state of its events."""

    amount: Decimal | Aggregate
    event_count: int
    period: Period
    end_us: int


@dataclass(slots=True)
class _Span:
    """The stretch of time that the last event of a company fell in: its window and its billing period."""

    start_us: int
    end_us: int
    period: Period


class TrialTotals:
    """Adds events up as metering would, in memory, in the billing periods of subscriptions to the price's plan."""

    def __init__(self, transaction: Transaction, application_id: str, *, meter: Meter, price: Price | None) -> None:
        self._meter = meter
        self._price = price
        rows = [] if price is None else subscriptions_to_plan(transaction, application_id, price.plan_id)
        self._subscriptions: dict[str, Subscription] = {row.subscription.company_id: row.subscription for row in rows}
        self._spans: dict[str, _Span] = {}
        self._used: dict[_Place, _Used] = {}

    def add(self, event: Event, at_us: int, amount: Decimal | Aggregate, *, group: GroupKey) -> None:
        """Add what an event of a known company counts for."""
        company_id = event.company_id or ""
        span = self._spans.get(company_id)
        if span is None or not span.start_us <= at_us < span.end_us:
            self._spans[company_id] = span = self._span(company_id, event)
        place = _Place(company_id, span.start_us, group)
        used = self._used.get(place)
        if used is None:
            self._used[place] = _Used(amount, 1, span.period, span.end_us)
            return
        used.amount = _added(used.amount, amount)
        used.event_count += 1

    def quantity_of(self, amount: Decimal | Aggregate, event: Event) -> Decimal:
        """Return what one event alone comes to, in units."""
        return self._units(amount, usage_window(self._meter.reporting_period, event.occurred_at))

    def windows(self) -> tuple[list[TrialWindowView], int]:
        """Return the first windows by company, time and group, and how many more there are."""
        places = sorted(self._used)
        return [self._window(place) for place in places[:MAX_TRIAL_WINDOWS]], max(0, len(places) - MAX_TRIAL_WINDOWS)

    def totals(self) -> list[TrialTotalView]:
        """Return what every company used in each of its billing periods, and what that costs."""
        by_period: dict[tuple[str, int], dict[GroupKey, _Used]] = {}
        for place in sorted(self._used):
            used = self._used[place]
            groups = by_period.setdefault((place.company_id, to_microseconds(used.period.start)), {})
            before = groups.get(place.group)
            groups[place.group] = _Used(
                used.amount if before is None else _added(before.amount, used.amount),
                used.event_count + (0 if before is None else before.event_count),
                used.period,
                used.end_us,
            )
        return [self._total(company_id, groups) for (company_id, _), groups in sorted(by_period.items())]

    def _total(self, company_id: str, groups: dict[GroupKey, _Used]) -> TrialTotalView:
        period = next(iter(groups.values())).period
        quantity = reduce(EXACT.add, (self._units(used.amount, period) for used in groups.values()), _NOTHING)
        subscription, price = self._subscriptions.get(company_id), self._price
        return TrialTotalView(
            company_id=company_id,
            subscription_id=None if subscription is None else subscription.subscription_id,
            period_start=period.start,
            period_end=period.end,
            quantity=plain(quantity),
            event_count=sum(used.event_count for used in groups.values()),
            amount=None if price is None else plain(from_minor_units(line_amount(price, quantity), price.currency)),
            currency=None if price is None else price.currency.code,
        )

    def _window(self, place: _Place) -> TrialWindowView:
        used = self._used[place]
        window = Period(from_microseconds(place.start_us), from_microseconds(used.end_us))
        return TrialWindowView(
            company_id=place.company_id,
            start=window.start,
            end=window.end,
            group=list(place.group),
            quantity=plain(self._units(used.amount, window)),
            event_count=used.event_count,
        )

    def _units(self, amount: Decimal | Aggregate, period: Period) -> Decimal:
        return amount if isinstance(amount, Decimal) else units_of(self._meter, amount, period)

    def _span(self, company_id: str, event: Event) -> _Span:
        at = event.occurred_at
        window = usage_window(self._meter.reporting_period, at)
        subscription = self._subscriptions.get(company_id)
        period = None if subscription is None else subscription.period_at(at)
        if period is None:
            period = usage_window(ReportingPeriod.ONE_MONTH, at)
        start, end = max(window.start, period.start), min(window.end, period.end)
        return _Span(to_microseconds(start), to_microseconds(end), period)


def _added(before: Decimal | Aggregate, amount: Decimal | Aggregate) -> Decimal | Aggregate:
    if isinstance(before, Decimal) and isinstance(amount, Decimal):
        return EXACT.add(before, amount)
    return merge(_state(before), _state(amount))


def _state(amount: Decimal | Aggregate) -> Aggregate:
    return Total(amount) if isinstance(amount, Decimal) else amount
