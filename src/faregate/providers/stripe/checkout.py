"""Stripe's Checkout and customer portal: pages that a customer is sent to.

A page is made once under our id, which stands in its metadata, and in that of the payment or subscription that comes of
it. Metered lines have no quantity.
Sources: https://docs.stripe.com/api/checkout/sessions, https://docs.stripe.com/payments/checkout/fulfill-orders,
https://docs.stripe.com/api/customer_portal/sessions
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

from faregate.base.errors import InvalidInput
from faregate.domain.billing.provider import ProviderCustomer
from faregate.domain.billing.provider_checkout import CheckoutPhase, CheckoutStanding, SubscriptionPage, TopUpPage
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.providers.stripe.client import asked, created
from faregate.providers.stripe.customers import ensure_customer
from faregate.providers.stripe.prices import price_at_stripe
from faregate.providers.stripe.shapes import (
    OUR_ID,
    find_ours,
    from_page,
    from_seconds,
    key_of,
    our_id_of,
    payment_currency,
)

if TYPE_CHECKING:
    from stripe import ListObject, PaymentIntent, StripeClient
    from stripe.checkout import Session
    from stripe.params.checkout import SessionCreateParams, SessionListParams

_EXPAND: Final = ["payment_intent"]
_OPEN: Final = "open"
_GIVEN_UP: Final = frozenset({"requires_payment_method", "canceled"})


class StripeCheckout:
    """A `ProviderCheckout`. `client`: made by the first call."""

    def __init__(self, client: Callable[[], StripeClient]) -> None:
        self._client = client

    def open_top_up(self, wanted: TopUpPage, links: ProviderLinks) -> CheckoutStanding:
        """Make the page where credit is paid for; the method stays with the customer for later top-ups."""
        product = {"currency": payment_currency(wanted.currency, wanted.amount), "unit_amount": wanted.amount}
        line = {"quantity": 1, "price_data": product | {"product_data": {"name": wanted.description}}}
        mine = {OUR_ID: wanted.checkout_id}
        sent: dict[str, Any] = {
            "mode": "payment",
            "line_items": [line],
            "payment_intent_data": {"metadata": mine, "setup_future_usage": "off_session"},
            "client_reference_id": wanted.checkout_id,
            "metadata": mine,
            "success_url": wanted.urls.success,
            "cancel_url": wanted.urls.cancel,
        }
        return self._open(wanted.customer, sent, links, our_id=wanted.checkout_id)

    def open_subscription(self, wanted: SubscriptionPage, links: ProviderLinks) -> CheckoutStanding:
        """Make the page where a plan is subscribed to. `Unavailable` while its prices are on their way to Stripe."""
        sent: dict[str, Any] = {
            "mode": "subscription",
            "line_items": [{"price": price_at_stripe(price, links)} for price in wanted.prices],
            "subscription_data": {"metadata": {OUR_ID: wanted.subscription_id}},
            "client_reference_id": wanted.checkout_id,
            "metadata": {OUR_ID: wanted.checkout_id},
            "success_url": wanted.urls.success,
            "cancel_url": wanted.urls.cancel,
        }
        return self._open(wanted.customer, sent, links, our_id=wanted.checkout_id)

    def expire(self, session_id: str) -> CheckoutStanding:
        """Let nobody pay at a page any more; one that was completed or has expired stays as it is."""
        sessions = self._client().v1.checkout.sessions
        standing = read_checkout(self._client(), session_id)
        if standing.phase is not CheckoutPhase.OPEN:
            return standing
        try:
            return _standing(asked(lambda: sessions.expire(session_id, {"expand": _EXPAND})))
        except InvalidInput:
            # Completed between the two calls: what it is now decides.
            return read_checkout(self._client(), session_id)

    def open_portal(self, customer: ProviderCustomer, links: ProviderLinks, *, return_url: str) -> str:
        """Return the portal's address for a customer."""
        client = self._client()
        customer_id = ensure_customer(client, customer, links)
        session = asked(
            lambda: client.v1.billing_portal.sessions.create({"customer": customer_id, "return_url": return_url})
        )
        return session.url

    def _open(
        self, customer: ProviderCustomer, sent: dict[str, Any], links: ProviderLinks, *, our_id: str
    ) -> CheckoutStanding:
        client = self._client()
        customer_id = ensure_customer(client, customer, links)
        sent = sent | {"customer": customer_id, "expand": _EXPAND}

        def listed(after: str | None) -> ListObject[Session]:
            wanted = cast("SessionListParams", {"customer": customer_id, **from_page(after)})
            return client.v1.checkout.sessions.list(wanted)

        session = created(
            lambda key: client.v1.checkout.sessions.create(cast("SessionCreateParams", sent), {"idempotency_key": key}),
            key=key_of("checkout", our_id, sent),
            find=lambda: find_ours(listed, our_id),
        )
        return _standing(session)


def read_checkout(client: StripeClient, session_id: str) -> CheckoutStanding:
    """Return a page as it stands."""
    return _standing(asked(lambda: client.v1.checkout.sessions.retrieve(session_id, {"expand": _EXPAND})))


def _standing(session: Session) -> CheckoutStanding:
    subscription = session.subscription
    return CheckoutStanding(
        session_id=session.id,
        faregate_id=our_id_of(session),
        phase=_phase(session),
        url=session.url,
        expires_at=from_seconds(session.expires_at),
        provider_subscription_id=subscription if isinstance(subscription, str) else getattr(subscription, "id", ""),
    )


def _phase(session: Session) -> CheckoutPhase:
    if session.status == _OPEN:
        return CheckoutPhase.OPEN
    if session.status == "expired":
        return CheckoutPhase.EXPIRED
    if session.payment_status != "unpaid":
        return CheckoutPhase.COMPLETE
    intent = cast("PaymentIntent | None", session.payment_intent)
    return CheckoutPhase.FAILED if intent is not None and intent.status in _GIVEN_UP else CheckoutPhase.PROCESSING
