"""Subscriptions at Stripe: made once, with every price that Stripe rates; their invoices stay drafts until we close.

Stripe finalizes the draft of a period an hour after its end. Ours has to be complete first, however long that takes, so
collection is paused with `keep_as_draft`, and `closing.py` finalizes.
Sources: https://docs.stripe.com/billing/subscriptions/billing-cycle, https://docs.stripe.com/billing/subscriptions/pause-payment
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from faregate.domain.billing.provider import ProviderSubscription
from faregate.domain.billing.provider_cycle import ProviderCycle
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks
from faregate.providers.stripe.catalog import sold_again
from faregate.providers.stripe.client import asked, created
from faregate.providers.stripe.prices import price_at_stripe
from faregate.providers.stripe.shapes import OUR_ID, find_ours, from_page, key_of, to_seconds

if TYPE_CHECKING:
    from stripe import ListObject, StripeClient, Subscription, SubscriptionItem
    from stripe.params import SubscriptionCreateParams, SubscriptionItemCreateParams, SubscriptionListParams

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A subscription at Stripe. `since`: from when on the usage of a price, by our id, is counted, in seconds."""

    id: str
    since: dict[str, int]

    def starts_before(self, instant: datetime) -> bool:
        """Return whether Stripe has the period that ends then."""
        return bool(self.since) and min(self.since.values()) < to_seconds(instant)


def ensure_subscription(
    client: StripeClient, wanted: ProviderSubscription, links: ProviderLinks, *, customer: str
) -> Standing | None:
    """Return the subscription with all its prices, made now if need be; None where Stripe cannot have it."""
    prices = {price.lookup_key: price_at_stripe(price, links) for price in wanted.prices}
    known = links.find(LinkKind.SUBSCRIPTION, wanted.lookup_key)
    if known is not None:
        standing: Subscription | None = asked(lambda: client.v1.subscriptions.retrieve(known))
    elif wanted.cycle is None or not prices:
        return None
    else:
        standing = _find(client, customer, wanted.lookup_key) or _make(
            client, wanted, customer=customer, prices=prices, cycle=wanted.cycle
        )
    assert standing is not None  # noqa: S101 - one of the branches made it
    links.add(LinkKind.SUBSCRIPTION, wanted.lookup_key, standing.id)
    if standing.status not in {"canceled", "incomplete_expired"}:
        standing = _brought_up(client, standing, wanted, prices=prices)
    return _standing(standing, prices)


def _brought_up(
    client: StripeClient, standing: Subscription, wanted: ProviderSubscription, *, prices: dict[str, str]
) -> Subscription:
    """Return the subscription with its drafts held, and with the prices that it lacks."""
    if standing.pause_collection is None:
        asked(lambda: client.v1.subscriptions.update(standing.id, {"pause_collection": {"behavior": "keep_as_draft"}}))
    has = {item.price.id for item in standing.items.data}
    lacking = {ours: price for ours, price in prices.items() if price not in has}
    for ours, price in lacking.items():
        sent: dict[str, Any] = {
            "subscription": standing.id,
            "price": price,
            "proration_behavior": "none",
            "metadata": {OUR_ID: ours},
        }
        key = key_of("item", f"{wanted.lookup_key}/{ours}", sent)
        with sold_again(client, price):
            _add_item(client, sent, key, subscription=standing.id)
    return asked(lambda: client.v1.subscriptions.retrieve(standing.id)) if lacking else standing


def _add_item(client: StripeClient, sent: dict[str, Any], key: str, *, subscription: str) -> None:
    def find() -> SubscriptionItem | None:
        items = asked(lambda: client.v1.subscription_items.list({"subscription": subscription, "limit": 100})).data
        return next((item for item in items if item.price.id == sent["price"]), None)

    created(
        lambda key: client.v1.subscription_items.create(
            cast("SubscriptionItemCreateParams", sent), {"idempotency_key": key}
        ),
        key=key,
        find=find,
    )


def _standing(subscription: Subscription, prices: dict[str, str]) -> Standing:
    made = {item.price.id: item.created for item in subscription.items.data}
    return Standing(id=subscription.id, since={ours: made[price] for ours, price in prices.items() if price in made})


def _make(
    client: StripeClient,
    wanted: ProviderSubscription,
    *,
    customer: str,
    prices: dict[str, str],
    cycle: ProviderCycle,
) -> Subscription:
    sent: dict[str, Any] = {
        "customer": customer,
        "currency": wanted.currency.lower(),
        "items": [{"price": price, "metadata": {OUR_ID: ours}} for ours, price in prices.items()],
        "proration_behavior": "none",
        "billing_mode": {"type": "flexible"},
        "metadata": {OUR_ID: wanted.lookup_key},
        **_anchor(cycle),
        **terms(wanted),
    }
    with ExitStack() as archived:
        for price in prices.values():
            archived.enter_context(sold_again(client, price))
        return created(
            lambda key: client.v1.subscriptions.create(
                cast("SubscriptionCreateParams", sent), {"idempotency_key": key}
            ),
            key=key_of("subscription", wanted.lookup_key, sent),
            find=lambda: _find(client, customer, wanted.lookup_key),
        )


def _anchor(cycle: ProviderCycle) -> dict[str, Any]:
    if cycle.anchor_day is None:
        return {"billing_cycle_anchor": to_seconds(cycle.first_border)}
    border = cycle.first_border
    return {
        "billing_cycle_anchor_config": {
            "day_of_month": cycle.anchor_day,
            "hour": border.hour,
            "minute": border.minute,
            "second": border.second,
        }
    }


def terms(wanted: ProviderSubscription) -> dict[str, Any]:
    """Return how invoices are paid: at once by the customer's method where they are due at once, else by invoice."""
    days = -(-int(wanted.payment_terms.total_seconds()) // _DAY_S)
    if days == 0:
        return {"collection_method": "charge_automatically"}
    return {"collection_method": "send_invoice", "days_until_due": days}


def _find(client: StripeClient, customer: str, lookup_key: str) -> Subscription | None:
    def listed(after: str | None) -> ListObject[Subscription]:
        wanted = cast("SubscriptionListParams", {"customer": customer, "status": "all", **from_page(after)})
        return client.v1.subscriptions.list(wanted)

    return find_ours(listed, lookup_key)
