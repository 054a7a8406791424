"""Open accounts, and keep their projections true: what is reserved, and whether anything more is affordable."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceSeries
from faregate.domain.customers.subscription import Pays, Subscription
from faregate.domain.ledger.reserve import PriceUse, is_exhausted
from faregate.services.known_terms import KnownTerms
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


def open_account(transaction: Transaction, *, application_id: str, subscription_id: str, now: datetime) -> None:
    """Open the account of a new subscription; a prepaid one is exhausted until it gets a grant."""
    insert_account(transaction, application_id, subscription_id)
    refresh_accounts(transaction, subscription_ids=[subscription_id], now=now)


def refresh_accounts(
    transaction: Transaction, *, subscription_ids: Collection[str], now: datetime, terms: KnownTerms | None = None
) -> None:
    """Let grants begin and end that are due by the business time `now`; recompute `exhausted` of prepaid accounts.

    Where that changed, cohorts are.
    """
    terms = terms or KnownTerms(transaction)
    subscriptions = terms.subscriptions(subscription_ids)
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
    prices = terms.metered({found.plan_id for found in prepaid.values()})
    uses = price_uses(transaction, prepaid.values(), prices, now=now)
    changed: dict[str, set[str]] = {}
    for subscription_id, found in prepaid.items():
        account = accounts[subscription_id]
        exhausted = is_exhausted(uses[subscription_id], available=account.available)
        if exhausted != account.exhausted:
            set_exhausted(transaction, subscription_id, exhausted=exhausted)
            changed.setdefault(account.application_id, set()).add(found.company_id)
    for application_id, company_ids in changed.items():
        refresh_membership(transaction, application_id=application_id, company_ids=company_ids, now=now)


def price_uses(
    transaction: Transaction,
    subscriptions: Collection[Subscription],
    series: Mapping[str, Sequence[PriceSeries]],
    *,
    now: datetime,
) -> dict[str, list[PriceUse]]:
    """Return by subscription what it has used and has out, price by price, in its period that holds `now`.

    `series`: prices by plan.
    """
    prices: dict[TotalKey, Price] = {}
    for found in subscriptions:
        period = found.period_at(now)
        if period is None:
            continue
        for one in series.get(found.plan_id, []):
            price = found.price_of(one, at=now, period=period)
            prices[TotalKey(found.subscription_id, price.price_id, period.start)] = price
    totals = read_totals(transaction, prices)
    uses: dict[str, list[PriceUse]] = {found.subscription_id: [] for found in subscriptions}
    for key, price in prices.items():
        uses[key.subscription_id].append(_use(price, totals.get(key)))
    return uses


def _use(price: Price, total: PriceTotal | None) -> PriceUse:
    if total is None:
        return PriceUse(price=price, totals={}, outstanding=0)
    return PriceUse(price=price, totals=total.totals, outstanding=total.outstanding)
