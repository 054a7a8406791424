"""Which account and period a measured event is charged to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeVar

from faregate.base.periods import Period
from faregate.domain.catalog.models import ByDimension
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceList
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.event import FieldPath, Fields, compile_field, scalar_text
from faregate.domain.metering.metric import Unmeterable
from faregate.domain.pricing.rating import WHOLE, DimensionKey, priced_key
from faregate.services.meter_events import Measured
from faregate.storage.database import Transaction
from faregate.storage.events import UnmeterableEvent
from faregate.storage.ledger import TotalKey
from faregate.storage.metered import subscriptions_of_companies

T = TypeVar("T")

_SHOWN_CHARACTERS: Final = 40


class Posting(NamedTuple):
    """A measured event, and the total, dimension and period it is charged to: None where the company has no such plan.

    `priced_in`: while the price holds under which it is charged; usage windows are cut at its ends. `is_invoiced`: the
    period was over before the event came, so what it costs is an adjustment.
    """

    measured: Measured
    key: TotalKey | None
    period: Period | None
    dimension: DimensionKey = WHOLE
    priced_in: Period | None = None
    is_invoiced: bool = False


class _Place(NamedTuple):
    """Where usage of one company and price goes while nothing about it changes: `since` to `priced_in`'s end."""

    key: TotalKey
    period: Period
    priced_in: Period
    since: datetime


class PostingRules:
    """Which subscription and period a company's usage of a price belongs to."""

    def __init__(self, prices: PriceList, subscriptions: Sequence[tuple[Subscription, datetime]]) -> None:
        self._prices = prices
        self._by_plan = {
            (found.company_id, found.plan_id): (found, billed_until) for found, billed_until in subscriptions
        }
        self._periods: dict[str, Period] = {}
        self._recent: dict[tuple[str, str], _Place] = {}
        self._fields: dict[FieldPath, Callable[[Fields], object]] = {}

    def place(self, measured: Measured) -> Posting | Unmeterable:
        """Return where the usage is charged: in the period that it happened in, invoiced or not.

        Usage from before a subscription began is its first period's. `Unmeterable` where the price has no row for the
        event and no default.
        """
        recent = self._recent.get((measured.company_id, measured.meter.price_id))
        if recent is not None and recent.since <= measured.event.occurred_at < recent.priced_in.end:
            return Posting(measured, recent.key, recent.period, WHOLE, recent.priced_in)
        return self._find(measured)

    def _find(self, measured: Measured) -> Posting | Unmeterable:
        series = self._prices.series_of(measured.meter.price_id)
        found = self._by_plan.get((measured.company_id, series.plan_id)) if series is not None else None
        if series is None or found is None:
            return Posting(measured=measured, key=None, period=None)
        subscription, billed_until = found
        at = measured.event.occurred_at
        period = self._period(subscription, max(at, subscription.started_at))
        if period is None or not (subscription.can_use(at) or at < subscription.started_at):
            return Posting(measured=measured, key=None, period=None)
        price = subscription.price_of(series, at=at, period=period)
        dimension = dimension_of(price, measured.event.fields, self._field)
        if isinstance(dimension, Unmeterable):
            return dimension
        key = TotalKey(subscription.subscription_id, price.price_id, period.start)
        priced_in = series.unchanged_around(at, within=period)
        if dimension == WHOLE and at >= billed_until and subscription.is_uninterrupted:
            since = max(priced_in.start, billed_until)
            self._recent[measured.company_id, measured.meter.price_id] = _Place(key, period, priced_in, since)
        return Posting(measured, key, period, dimension, priced_in, is_invoiced=period.start < billed_until)

    def _field(self, path: FieldPath) -> Callable[[Fields], object]:
        read = self._fields.get(path)
        if read is None:
            read = self._fields[path] = compile_field(path)
        return read

    def _period(self, subscription: Subscription, instant: datetime) -> Period | None:
        recent = self._periods.get(subscription.subscription_id)
        if recent is not None and instant in recent:
            return recent
        period = subscription.period_at(instant)
        if period is not None:
            self._periods[subscription.subscription_id] = period
        return period


def dimension_of(
    price: Price, fields: T, reading: Callable[[FieldPath], Callable[[T], object]]
) -> DimensionKey | Unmeterable:
    """Return the row of the price that an event is charged by; `Unmeterable` where there is none, and no default."""
    if not isinstance(price.model, ByDimension):
        return WHOLE
    values = tuple(_value_text(reading(FieldPath(path))(fields)) for path in price.model.fields)
    key = priced_key(price.model, values)
    if key is None:
        shown = ", ".join(
            f"{path} {value[:_SHOWN_CHARACTERS]!r}" for path, value in zip(price.model.fields, values, strict=True)
        )
        return Unmeterable(f"the price {price.name!r} has no row for {shown}, and no default")
    return key


def _value_text(value: object) -> str:
    """Return a field's value as a price table names it; empty where there is none."""
    text = scalar_text(value)
    if isinstance(text, bool):
        return "true" if text else "false"
    return text or ""


def place_usage(
    transaction: Transaction, application_id: str, measured: Sequence[Measured], *, prices: PriceList
) -> tuple[list[Posting], list[UnmeterableEvent]]:
    """Find the account, dimension and period of every measured event; and those whose dimension nothing prices."""
    companies = {entry.company_id for entry in measured}
    rules = PostingRules(prices, subscriptions_of_companies(transaction, application_id, companies))
    postings, unmeterable = [], []
    for entry in measured:
        placed = rules.place(entry)
        if isinstance(placed, Unmeterable):
            unmeterable.append(
                UnmeterableEvent(
                    position=entry.position,
                    meter_id=entry.meter.meter_id,
                    application_id=application_id,
                    reason=placed.reason,
                )
            )
        else:
            postings.append(placed)
    return postings, unmeterable


def total_keys(postings: Sequence[Posting]) -> dict[TotalKey, Period]:
    """Return the totals that the postings move."""
    return {
        posting.key: posting.period for posting in postings if posting.key is not None and posting.period is not None
    }
