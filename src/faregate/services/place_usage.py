"""Which account and period a measured event is charged to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from faregate.base.periods import Period
from faregate.domain.catalog.price import Price
from faregate.domain.customers.subscription import Subscription
from faregate.services.meter_events import Measured
from faregate.storage.database import Transaction
from faregate.storage.ledger import TotalKey
from faregate.storage.metered import subscriptions_of_companies


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """A measured event, and the total and period that it is charged to: None where the company has no such plan."""

    measured: Measured
    key: TotalKey | None
    period: Period | None


class PostingRules:
    """Which subscription and period a company's usage of a price belongs to."""

    def __init__(self, prices: Mapping[str, Price], subscriptions: Sequence[tuple[Subscription, datetime]]) -> None:
        self._prices = prices
        self._by_plan = {
            (found.company_id, found.plan_id): (found, billed_until) for found, billed_until in subscriptions
        }
        self._periods: dict[str, Period] = {}

    def place(self, measured: Measured) -> Posting:
        """Return where the usage is charged. Usage of a period that is already invoiced goes to the open one."""
        price = self._prices.get(measured.meter.price_id)
        found = self._by_plan.get((measured.company_id, price.plan_id)) if price is not None else None
        if price is None or found is None:
            return Posting(measured=measured, key=None, period=None)
        subscription, billed_until = found
        period = self._period(subscription, max(measured.event.occurred_at, billed_until))
        if period is None:
            return Posting(measured=measured, key=None, period=None)
        key = TotalKey(subscription.subscription_id, price.price_id, period.start)
        return Posting(measured=measured, key=key, period=period)

    def _period(self, subscription: Subscription, instant: datetime) -> Period | None:
        recent = self._periods.get(subscription.subscription_id)
        if recent is not None and instant in recent:
            return recent
        period = subscription.period_at(instant)
        if period is not None:
            self._periods[subscription.subscription_id] = period
        return period


def place_usage(
    transaction: Transaction, application_id: str, measured: Sequence[Measured], *, prices: Mapping[str, Price]
) -> list[Posting]:
    """Find the account and period of every measured event."""
    companies = {entry.company_id for entry in measured}
    rules = PostingRules(prices, subscriptions_of_companies(transaction, application_id, companies))
    return [rules.place(entry) for entry in measured]


def total_keys(postings: Sequence[Posting]) -> dict[TotalKey, Period]:
    """Return the totals that the postings move."""
    return {
        posting.key: posting.period for posting in postings if posting.key is not None and posting.period is not None
    }
