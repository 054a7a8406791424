"""Open accounts, and keep their projections true: what is reserved, and whether anything more is affordable."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceSeries
from faregate.domain.customers.subscription import Pays, Subscription
from faregate.domain.ledger.reserve import PriceUse, is_exhausted
from faregate.services.membership import refresh_membership
from faregate.services.posting import cross_borders
from faregate.services.raise_alerts import Watched, watch_balances
from faregate.storage.database import Transaction
from faregate.storage.ledger import (
    PriceTotal,
    TotalKey,
    insert_account,
    lock_accounts,
    read_totals,
    set_exhausted,
)
from faregate.storage.metered import metered_series_of_plans, read_subscriptions


def open_account(transaction: Transaction, *, application_id: str, subscription_id: str, now: datetime) -> None:
    """Open the account of a new subscription; a prepaid one is exhausted until it gets a grant."""
    insert_account(transaction, application_id, subscription_id)
    refresh_accounts(transaction, subscription_ids=[subscription_id], now=now)


def refresh_accounts(transaction: Transaction, *, subscription_ids: Collection[str], now: datetime) -> None:
    """Let grants begin and end that are due by the business time `now`; recompute `exhausted` of prepaid accounts.

    Where that changed, cohorts are.
    """
    subscriptions = read_subscriptions(transaction, subscription_ids)
    accounts = lock_accounts(transaction, subscription_ids)
    due = [subscription_id for subscription_id, account in accounts.items() if account.is_due(now)]
    if due:
        cross_borders(transaction, due, now=now)
        accounts |= lock_accounts(transaction, due)
    watched = [Watched(found, accounts[key]) for key, found in subscriptions.items() if found.pays is not Pays.POSTPAID]
    watch_balances(transaction, watched, now=now)
    prepaid = {key: found for key, found in subscriptions.items() if found.pays is Pays.PREPAID}
    if not prepaid:
        return
    prices = metered_series_of_plans(transaction, {found.plan_id for found in prepaid.values()})
    changed: dict[str, set[str]] = {}
    for subscription_id, found in prepaid.items():
        account = accounts[subscription_id]
        uses = price_uses(transaction, found, prices.get(found.plan_id, []), now=now)
        exhausted = is_exhausted(uses.values(), available=account.available)
        if exhausted != account.exhausted:
            set_exhausted(transaction, subscription_id, exhausted=exhausted)
            changed.setdefault(account.application_id, set()).add(found.company_id)
    for application_id, company_ids in changed.items():
        refresh_membership(transaction, application_id=application_id, company_ids=company_ids, now=now)


def price_uses(
    transaction: Transaction, subscription: Subscription, series: Collection[PriceSeries], *, now: datetime
) -> dict[str, PriceUse]:
    """Return what a subscription has used and has out, by price, in the period that holds `now`."""
    period = subscription.period_at(now)
    if period is None:
        return {}
    prices = [subscription.price_of(one, at=now, period=period) for one in series]
    keys = {price.price_id: TotalKey(subscription.subscription_id, price.price_id, period.start) for price in prices}
    totals = read_totals(transaction, keys.values())
    return {price.price_id: _use(price, totals.get(keys[price.price_id])) for price in prices}


def _use(price: Price, total: PriceTotal | None) -> PriceUse:
    if total is None:
        return PriceUse(price=price, totals={}, outstanding=0)
    return PriceUse(price=price, totals=total.totals, outstanding=total.outstanding)
