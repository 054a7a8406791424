"""A customer on a test clock, prices, and time that passes, for tests of subscriptions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stripe import Invoice, StripeClient, Subscription

from tests.sandbox.test_catalog import make_meter


def at(year: int, month: int, day: int = 1, hour: int = 0) -> int:
    """Return an instant in seconds."""
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp())


class Subscriber:
    """A customer on a clock of its own, who pays by a card that works unless told otherwise."""

    def __init__(self, stripe: StripeClient, *, start: int, card: str | None = "pm_card_visa") -> None:
        self.stripe = stripe
        self.clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": start}).id
        self.customer = stripe.v1.customers.create({"name": "Acme", "test_clock": self.clock}).id
        self.product = stripe.v1.products.create({"name": "Calls"}).id
        if card is not None:
            self.pay_by(card)

    def pay_by(self, card: str) -> str:
        """Let the customer pay by another card."""
        method = self.stripe.v1.payment_methods.attach(card, {"customer": self.customer}).id
        self.stripe.v1.customers.update(self.customer, {"invoice_settings": {"default_payment_method": method}})
        return method

    def price(self, amount: int, *, interval: str = "month", meter: str | None = None, **more: Any) -> str:  # noqa: ANN401
        """Make a recurring price, of a meter if one is named."""
        usage: dict[str, object] = {"interval": interval}
        if meter is not None:
            usage |= {"usage_type": "metered", "meter": meter}
        sent: dict[str, Any] = {
            "product": self.product, "currency": "usd", "unit_amount": amount, "recurring": usage
        }  # fmt: skip
        return self.stripe.v1.prices.create(sent | more).id  # type: ignore[arg-type]

    def meter(self) -> tuple[str, str]:
        """Make a meter; return its id and its event's name."""
        meter = self.stripe.v1.billing.meters.retrieve(make_meter(self.stripe))
        return meter.id, meter.event_name

    def subscribe(self, *prices: str, **more: Any) -> Subscription:  # noqa: ANN401 - Stripe's parameters
        """Subscribe to prices."""
        sent: dict[str, Any] = {"customer": self.customer, "items": [{"price": price} for price in prices]}
        return self.stripe.v1.subscriptions.create(sent | more)  # type: ignore[arg-type]

    def advance(self, to: int) -> None:
        """Let time pass."""
        self.stripe.v1.test_helpers.test_clocks.advance(self.clock, {"frozen_time": to})

    def use(self, event_name: str, value: int, when: int) -> None:
        """Report usage."""
        self.stripe.v1.billing.meter_events.create(
            {
                "event_name": event_name,
                "payload": {"stripe_customer_id": self.customer, "value": str(value)},
                "timestamp": when,
            }
        )

    def now(self, subscription: Subscription) -> Subscription:
        """Return a subscription as it is now."""
        return self.stripe.v1.subscriptions.retrieve(subscription.id)

    def invoices(self, subscription: Subscription) -> list[Invoice]:
        """Return a subscription's invoices, oldest first."""
        listed = self.stripe.v1.invoices.list({"subscription": subscription.id, "limit": 100})
        return listed.data[::-1]


def period(subscription: Subscription) -> tuple[int, int]:
    """Return the current period, which stands on the items."""
    item = subscription["items"].data[0]
    return item.current_period_start, item.current_period_end
