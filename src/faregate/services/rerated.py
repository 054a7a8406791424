"""What a re-rating corrects, ready to be counted: a price before and after, its meters, and whose usage it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from faregate.base.errors import NotFound
from faregate.base.money import to_ledger_units
from faregate.base.periods import Period, Span
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.terms_text import read_terms
from faregate.domain.catalog.versions import PriceList, PriceSeries, PriceVersion, Replaced
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.definition import read_definition
from faregate.domain.metering.history import MeterChange, MeterHistory
from faregate.domain.metering.meter import Meter
from faregate.domain.pricing.rating import debit_total, rate_period
from faregate.services.recount import RecountScope, first_period
from faregate.storage.database import Transaction
from faregate.storage.ledger import PriceTotal
from faregate.storage.metered import find_series
from faregate.storage.meters import history_of_meter, meters_of_application
from faregate.storage.reratings import Rerating, ReratingStatus, reratings_after
from faregate.storage.subscriptions import SubscriptionRow, find_subscription_to_plan, subscriptions_to_plan

_DRAFTED = "prc_draft"
"""The id of a replacement that is not made yet: no total has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerated:
    """`standing` is the price without the correction, `series` with it; `meters` count as corrected.

    `prices` has every version of it.
    """

    rerating: Rerating
    standing: PriceSeries
    series: PriceSeries
    meters: tuple[MeterHistory, ...]
    subscriptions: tuple[SubscriptionRow, ...]
    prices: PriceList

    @property
    def meter_ids(self) -> list[str]:
        """Return the meters that feed the price."""
        return [history.meter_id for history in self.meters]

    def scope(self, subscriptions: Sequence[SubscriptionRow], *, with_windows: bool = False) -> RecountScope:
        """Return what a recount of some of the subscriptions counts."""
        return RecountScope(
            application_id=self.rerating.application_id,
            prices=self.prices,
            series=self.series,
            meters=self.meters,
            subscriptions=[row.subscription for row in subscriptions],
            span=self.rerating.span,
            with_windows=with_windows,
        )


def read_rerated(transaction: Transaction, rerating: Rerating) -> Rerated:
    """Return what a re-rating corrects: of a draft as it would be, else as it is kept."""
    found = find_series(transaction, rerating.application_id, rerating.series_id)
    if found is None:
        raise NotFound("price", rerating.series_id)
    drafted = rerating.status is ReratingStatus.DRAFT
    standing = replace(
        found,
        replacements=tuple(
            made
            for made in found.replacements
            if made.replaces is not None and made.replaces.rerating_id != rerating.rerating_id
        ),
    )
    series = found
    if drafted and rerating.price_id is not None:
        series = replace(found, replacements=(*found.replacements, replacement(found, rerating, price_id=_DRAFTED)))
    meters = [
        history_of_meter(transaction, meter)
        for meter in meters_of_application(transaction, rerating.application_id)
        if meter.price_id == found.series_id
    ]
    if drafted:
        meters = [_corrected(history, rerating) for history in meters]
    rows = subscriptions_to_plan(transaction, rerating.application_id, found.plan_id)
    touched = tuple(row for row in rows if first_period(row.subscription, rerating.span) is not None)
    return Rerated(
        rerating=rerating,
        standing=standing,
        series=series,
        meters=tuple(meters),
        subscriptions=touched,
        prices=PriceList([series]),
    )


def replacement(series: PriceSeries, rerating: Rerating, *, price_id: str) -> PriceVersion:
    """Return the version that takes the place of the one that a re-rating corrects."""
    wrong = next(version for version in series.versions if version.price_id == rerating.price_id)
    return PriceVersion(
        price_id=price_id,
        number=series.every_version[-1].number + 1,
        effective_at=wrong.effective_at,
        applies_to=wrong.applies_to,
        terms=read_terms(rerating.after),
        replaces=Replaced(price_id=wrong.price_id, span=rerating.span, rerating_id=rerating.rerating_id),
    )


def corrected_meter(meter: Meter, rerating: Rerating) -> Meter:
    """Return the meter as a re-rating corrects it."""
    definition = read_definition(rerating.after)
    return replace(meter, filter=definition.filter, metric=definition.metric, units=definition.units)


def _corrected(history: MeterHistory, rerating: Rerating) -> MeterHistory:
    if history.meter_id != rerating.meter_id:
        return history
    meter = corrected_meter(history.meters[-1], rerating)
    return history.changed(MeterChange(meter=meter, position=rerating.through, span=rerating.span))


def billed_periods(row: SubscriptionRow, span: Span) -> list[Period]:
    """Return the periods of a subscription that touch a span and have ended: what is due in them is invoiced."""
    periods = []
    found = first_period(row.subscription, span)
    while found is not None and found.start < row.billed_until and span.touches(found):
        periods.append(found)
        found = row.subscription.period_at(found.end)
    return periods


def period_amounts(
    prices: PriceList,
    series: PriceSeries,
    subscription: Subscription,
    *,
    period: Period,
    totals: Mapping[str, PriceTotal],
    is_invoiced: bool,
) -> dict[str, int]:
    """Return what a period's totals, by version of a price, come to in ledger units.

    Of an invoiced period that is what its invoice has to say, with what is due without usage; of an open one the
    debits. `series` says what is due without usage.
    """
    amounts = {}
    for price_id, total in totals.items():
        price = subscription.version_paid(prices, price_id, period_start=period.start)
        if total.is_used:
            amounts[price_id] = _amount(price, total, is_invoiced=is_invoiced)
    if is_invoiced and subscription.can_use(period.start):
        due = subscription.price_of(series, at=period.start, period=period)
        if due.price_id not in amounts:
            amounts[due.price_id] = to_ledger_units(rate_period(due, {}), due.currency)
    return amounts


def _amount(price: Price, total: PriceTotal, *, is_invoiced: bool) -> int:
    if is_invoiced:
        return to_ledger_units(rate_period(price, total.totals), price.currency)
    return debit_total(price, total.totals)


def rerating_over(
    transaction: Transaction, application_id: str, *, company_id: str, position: int, occurred_at: datetime
) -> str | None:
    """Return a re-rating that has counted an event again: its charges do not say any more what it counts for."""
    for rerating in reratings_after(transaction, application_id, position):
        series = find_series(transaction, application_id, rerating.series_id)
        row = (
            None
            if series is None
            else find_subscription_to_plan(transaction, application_id, company_id=company_id, plan_id=series.plan_id)
        )
        if row is None:
            continue
        period = row.subscription.period_at(max(occurred_at, row.subscription.started_at))
        if period is not None and rerating.span.touches(period):
            return rerating.rerating_id
    return None


def is_billed(row: SubscriptionRow, period_start: datetime) -> bool:
    """Return whether a subscription's period is, or is being, invoiced."""
    return period_start < row.billed_until
