"""A subscription that was made at the billing provider, on its own pages or by hand: ours too from now on."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from faregate.domain.billing.provider_links import LinkKind, ProviderLink
from faregate.domain.billing.standing import SubscriptionStanding
from faregate.domain.customers.subscription import Pays
from faregate.services.change import Change
from faregate.services.subscriptions import create_subscription
from faregate.storage.catalog import find_plan
from faregate.storage.checkouts import find_checkout_of_subscription
from faregate.storage.database import Transaction
from faregate.storage.provider_links import find_linked, keep_links
from faregate.storage.provider_standings import CompanyPlace
from faregate.storage.subscriptions import find_subscription_to_plan
from faregate.wire.api.customers import SubscriptionCreate

_LIVING: Final = frozenset({"active", "trialing", "past_due", "unpaid"})
_DAYS_OF_TERMS: Final = 365


def adopt_subscription(
    transaction: Transaction, change: Change, *, company: CompanyPlace, standing: SubscriptionStanding, account: str
) -> str | None:
    """Return our id of a living subscription to one of our plans, made and linked now; None for any other.

    What it was ordered as here, if it was, says how it pays; else it is postpaid. A company is on a plan once: a second
    subscription to it stays the provider's alone.
    """
    ordered = find_checkout_of_subscription(transaction, standing.faregate_id) if standing.faregate_id else None
    plan_id = _plan(transaction, company, standing, account=account) if ordered is None else ordered.plan_id
    if standing.status not in _LIVING or plan_id is None:
        return None
    if find_subscription_to_plan(transaction, company.application_id, company_id=company.company_id, plan_id=plan_id):
        return None
    request = SubscriptionCreate(
        company_id=company.company_id,
        plan_id=plan_id,
        pays=Pays.POSTPAID if ordered is None else ordered.pays,
        currency=standing.currency,
        started_at=standing.started_at,
        payment_terms_days=min(standing.days_until_due or 0, _DAYS_OF_TERMS),
        trial_ends_at=UNSET if standing.trial_ends_at is None else standing.trial_ends_at,
    )
    named = change.new_id if ordered is None else lambda _: ordered.subscription_id
    own = Change(application_id=company.application_id, now=change.now, new_id=named)
    made = create_subscription(transaction, own, request).subscription.subscription_id
    link = ProviderLink(kind=LinkKind.SUBSCRIPTION, our_id=made, provider_id=standing.provider_subscription_id)
    keep_links(transaction, [link], application_id=company.application_id, account=account, now=change.now)
    return made


def _plan(
    transaction: Transaction, company: CompanyPlace, standing: SubscriptionStanding, *, account: str
) -> str | None:
    """Return the plan that one of the subscription's products is."""
    for product_id in standing.product_ids:
        linked = find_linked(transaction, account=account, kind=LinkKind.PRODUCT, provider_id=product_id)
        for plan_id in (*(one.our_id for one in linked), product_id):
            if find_plan(transaction, company.application_id, plan_id) is not None:
                return plan_id
    return None
