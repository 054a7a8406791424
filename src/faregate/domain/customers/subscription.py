"""A company on a plan. A subscription is also the account that credit is kept in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from faregate.base.money import Currency
from faregate.base.periods import Period, month_containing
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceSeries


class Pays(StrEnum):
    """How a subscription pays: stops at zero, credit then invoice, or invoice only."""

    PREPAID = "prepaid"
    CREDIT_FIRST = "credit_first"
    POSTPAID = "postpaid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`started_at` anchors the billing periods; an invoice is due `payment_terms` after it is made."""

    subscription_id: str
    company_id: str
    plan_id: str
    pays: Pays
    currency: Currency
    started_at: datetime
    payment_terms: timedelta

    def period_at(self, instant: datetime) -> Period | None:
        """Return the billing period that holds `instant`, or None before the subscription starts."""
        if instant < self.started_at:
            return None
        return month_containing(self.started_at, instant)

    def price_of(self, series: PriceSeries, *, at: datetime, period: Period) -> Price:
        """Return what the subscription pays of a price for usage of an instant that is billed in a period."""
        version = series.in_force(subscribed_at=self.started_at, at=at, period_start=period.start)
        return series.price(version, self.currency)
