"""What a draft meter adds up to, window by window and period by period, without writing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce
from typing import NamedTuple

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.limits import MAX_TRIAL_WINDOWS
from faregate.base.money import EXACT, from_minor_units
from faregate.base.periods import Period
from faregate.domain.catalog.models import ByDimension, Percentage
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceSeries
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.aggregate import Aggregate, merge
from faregate.domain.metering.event import Event, FieldPath
from faregate.domain.metering.meter import GroupKey, Meter
from faregate.domain.metering.metric import Unmeterable
from faregate.domain.metering.windows import ReportingPeriod, usage_window
from faregate.domain.pricing.percentage import EventsSoFar, event_amount
from faregate.domain.pricing.rating import DimensionKey, leaf_of, line_amount
from faregate.services.meter_totals import units_of
from faregate.services.place_usage import dimension_of
from faregate.storage.database import Transaction
from faregate.storage.subscriptions import subscriptions_to_plan
from faregate.wire.api.common import plain
from faregate.wire.api.meter_trials import TrialTotalView, TrialWindowView

_NOTHING = Decimal(0)
Reading = Callable[[FieldPath], Callable[..., object]]


def fields_of_prices(series: PriceSeries | None) -> Iterator[FieldPath]:
    """Yield the fields by which a price's versions tell their rows apart."""
    for version in () if series is None else series.every_version:
        for terms in version.terms.values():
            if isinstance(terms.model, ByDimension):
                yield from map(FieldPath, terms.model.fields)


class _Place(NamedTuple):
    """A window of a company and group; it is cut where a billing period or a price begins."""

    company_id: str
    start_us: int
    group: GroupKey


class _PeriodPlace(NamedTuple):
    """What a company pays by one version of the price in a billing period."""

    company_id: str
    period_start_us: int
    price_id: str


@dataclass(slots=True)
class _Used:
    """Units of an additive meter, else the state of the events, and how many there are."""

    amount: Decimal | Aggregate
    event_count: int
    end_us: int

    def add(self, amount: Decimal | Aggregate) -> None:
        """Add another event."""
        self.amount = _added(self.amount, amount)
        self.event_count += 1


@dataclass(slots=True)
class _PeriodUse:
    """A company's use in a period: amounts by dimension and group, and what events of a percentage cost so far."""

    period: Period
    price: Price | None
    event_count: int = 0
    amounts: dict[tuple[DimensionKey, GroupKey], Decimal | Aggregate] = field(default_factory=dict)
    costs: dict[DimensionKey, Decimal] = field(default_factory=dict)
    events: dict[DimensionKey, EventsSoFar] = field(default_factory=dict)

    def add(self, dimension: DimensionKey, group: GroupKey, amount: Decimal | Aggregate) -> None:
        """Add an event."""
        before = self.amounts.get((dimension, group))
        self.amounts[dimension, group] = amount if before is None else _added(before, amount)
        self.event_count += 1
        leaf = None if self.price is None else leaf_of(self.price.model, dimension)
        if isinstance(leaf, Percentage) and isinstance(amount, Decimal):
            so_far = self.events.get(dimension, EventsSoFar())
            cost = event_amount(leaf, amount, so_far)
            self.costs[dimension] = EXACT.add(self.costs.get(dimension, _NOTHING), cost)
            self.events[dimension] = so_far.plus(amount)


@dataclass(slots=True)
class _Span:
    """The stretch of time that a company's last event fell in: one window, billing period and version of the price."""

    start_us: int
    end_us: int
    period: Period
    price: Price | None


class TrialTotals:
    """Adds events up as metering would, in memory, in the billing periods of subscriptions to the price's plan."""

    def __init__(
        self,
        transaction: Transaction,
        application_id: str,
        *,
        meter: Meter,
        series: PriceSeries | None,
        reading: Reading,
    ) -> None:
        self._meter = meter
        self._series = series
        self._reading = reading
        rows = [] if series is None else subscriptions_to_plan(transaction, application_id, series.plan_id)
        self._subscriptions: dict[str, Subscription] = {row.subscription.company_id: row.subscription for row in rows}
        self._spans: dict[str, _Span] = {}
        self._windows: dict[_Place, _Used] = {}
        self._periods: dict[_PeriodPlace, _PeriodUse] = {}

    def add(self, event: Event, at_us: int, amount: Decimal | Aggregate, *, group: GroupKey) -> Unmeterable | None:
        """Add what an event of a known company counts for; return why not, where nothing prices it."""
        company_id = event.company_id or ""
        span = self._spans.get(company_id)
        if span is None or not span.start_us <= at_us < span.end_us:
            self._spans[company_id] = span = self._span(company_id, event)
        dimension = () if span.price is None else dimension_of(span.price, event.fields, self._reading)
        if isinstance(dimension, Unmeterable):
            return dimension
        place = _Place(company_id, span.start_us, group)
        used = self._windows.get(place)
        if used is None:
            self._windows[place] = _Used(amount, 1, span.end_us)
        else:
            used.add(amount)
        price_id = "" if span.price is None else span.price.price_id
        period_place = _PeriodPlace(company_id, to_microseconds(span.period.start), price_id)
        use = self._periods.get(period_place)
        if use is None:
            self._periods[period_place] = use = _PeriodUse(span.period, span.price)
        use.add(dimension, group, amount)
        return None

    def quantity_of(self, amount: Decimal | Aggregate, event: Event) -> Decimal:
        """Return what one event alone comes to, in units."""
        return self._units(amount, usage_window(self._meter.reporting_period, event.occurred_at))

    def windows(self) -> tuple[list[TrialWindowView], int]:
        """Return the first windows by company, time and group, and how many more there are."""
        places = sorted(self._windows)
        return [self._window(place) for place in places[:MAX_TRIAL_WINDOWS]], max(0, len(places) - MAX_TRIAL_WINDOWS)

    def totals(self) -> list[TrialTotalView]:
        """Return what every company used in each of its billing periods, and what that costs."""
        return [self._total(place.company_id, self._periods[place]) for place in sorted(self._periods)]

    def _total(self, company_id: str, use: _PeriodUse) -> TrialTotalView:
        units = {key: self._units(amount, use.period) for key, amount in use.amounts.items()}
        subscription, price = self._subscriptions.get(company_id), use.price
        return TrialTotalView(
            company_id=company_id,
            subscription_id=None if subscription is None else subscription.subscription_id,
            price_id=None if price is None else price.price_id,
            period_start=use.period.start,
            period_end=use.period.end,
            quantity=plain(reduce(EXACT.add, units.values(), _NOTHING)),
            event_count=use.event_count,
            amount=None if price is None else plain(_amount(price, units, use.costs)),
            currency=None if price is None else price.currency.code,
        )

    def _window(self, place: _Place) -> TrialWindowView:
        used = self._windows[place]
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
        start, end, price = max(window.start, period.start), min(window.end, period.end), None
        if self._series is not None:
            priced_in = self._series.unchanged_around(at, within=period)
            start, end = max(start, priced_in.start), min(end, priced_in.end)
            price = _price(self._series, subscription, at=event, period=period)
        return _Span(to_microseconds(start), to_microseconds(end), period, price)


def _price(series: PriceSeries, subscription: Subscription | None, *, at: Event, period: Period) -> Price:
    """Return what a subscription pays; who has none, what a new one in the price's own currency would."""
    if subscription is not None:
        return subscription.price_of(series, at=at.occurred_at, period=period)
    version = series.in_force(subscribed_at=period.start, at=at.occurred_at, period=period)
    return series.price(version, series.currencies[0])


def _amount(
    price: Price, units: dict[tuple[DimensionKey, GroupKey], Decimal], costs: dict[DimensionKey, Decimal]
) -> Decimal:
    """Return what units cost in major units; of a percentage, `costs` is what its events came to, one by one."""
    totals: dict[DimensionKey, Decimal] = {}
    for (dimension, _), quantity in units.items():
        totals[dimension] = EXACT.add(totals.get(dimension, _NOTHING), quantity)
    return from_minor_units(line_amount(price, totals | costs), price.currency)


def _added(before: Decimal | Aggregate, amount: Decimal | Aggregate) -> Decimal | Aggregate:
    if isinstance(before, Decimal) or isinstance(amount, Decimal):
        return EXACT.add(_number(before), _number(amount))
    return merge(before, amount)


def _number(amount: Decimal | Aggregate) -> Decimal:
    if not isinstance(amount, Decimal):
        message = "a meter's events are either all numbers or all states"
        raise TypeError(message)
    return amount
