"""The subscriptions and prices that one transaction works by, each read once however often it is asked for."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from faregate.domain.catalog.versions import PriceList, PriceSeries
from faregate.domain.customers.subscription import Subscription
from faregate.storage.database import Transaction
from faregate.storage.metered import metered_series_of_plans, read_all_prices, read_subscriptions


class KnownTerms:
    """For a transaction that changes no subscription, price or meter: it would not see the change."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._subscriptions: dict[str, Subscription] = {}
        self._metered: dict[str, list[PriceSeries]] = {}

    @cached_property
    def prices(self) -> PriceList:
        """Return every price."""
        return read_all_prices(self._transaction)

    def subscriptions(self, subscription_ids: Collection[str]) -> dict[str, Subscription]:
        """Return those of the subscriptions that exist, by id."""
        self._subscriptions |= read_subscriptions(self._transaction, set(subscription_ids) - self._subscriptions.keys())
        return {key: self._subscriptions[key] for key in subscription_ids if key in self._subscriptions}

    def metered(self, plan_ids: Collection[str]) -> dict[str, list[PriceSeries]]:
        """Return the prices of plans that a meter feeds, by plan and in id order; a plan without one has none."""
        unknown = set(plan_ids) - self._metered.keys()
        if unknown:
            found = metered_series_of_plans(self._transaction, unknown)
            self._metered |= {plan_id: found.get(plan_id, []) for plan_id in unknown}
        return {plan_id: self._metered[plan_id] for plan_id in plan_ids}
