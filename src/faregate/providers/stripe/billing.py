"""`BillingProvider` at Stripe: which of Stripe's calls each of ours is."""

from __future__ import annotations

from datetime import datetime

from faregate.base.errors import Conflict
from faregate.base.periods import Period
from faregate.domain.billing.provider import (
    MeterEvent,
    ProviderCharge,
    ProviderCoupon,
    ProviderCustomer,
    ProviderGrant,
    ProviderInvoice,
    ProviderPayment,
    ProviderSubscription,
    RatedLine,
)
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks
from faregate.domain.billing.provider_usage import UsageSummary
from faregate.domain.customers.prepaid_billing import PrepaidBilling
from faregate.providers.stripe.client import Connecting, StripeAccount, asked
from faregate.providers.stripe.closing import Closing, close_period
from faregate.providers.stripe.credit import give_credit
from faregate.providers.stripe.customers import ensure_customer, set_payment_method
from faregate.providers.stripe.invoice_reading import read_invoice, retrieved
from faregate.providers.stripe.payments import take_payment
from faregate.providers.stripe.shapes import from_seconds, to_seconds
from faregate.providers.stripe.subscriptions import Standing, ensure_subscription
from faregate.providers.stripe.usage import StripeUsage, send_usage, usage_summaries


class StripeProvider(StripeAccount):
    """A `BillingProvider`.

    Safe on any thread. What one subscription is at Stripe is known to the calls on the same links.
    """

    def __init__(self, connecting: Connecting, links: ProviderLinks | None = None) -> None:
        super().__init__(connecting)
        self._links = links or ProviderLinks()
        self._wanted: dict[str, ProviderSubscription] = {}
        self._standing: dict[str, Standing | None] = {}

    def linked(self, links: ProviderLinks) -> StripeProvider:
        """Return the provider with what is known of its objects."""
        return StripeProvider(lambda: self._client, links)

    def ensure_subscription(self, wanted: ProviderSubscription) -> None:
        """Make customer, prices and subscription where they do not stand yet; add prices the subscription lacks."""
        self._wanted[wanted.lookup_key] = wanted
        self._standing[wanted.lookup_key] = ensure_subscription(
            self._client, wanted, self._links, customer=self._customer_of(wanted)
        )

    def report_usage(self, usage: MeterEvent) -> None:
        """Send a meter event, at an instant that Stripe counts in the period that it is of.

        Stripe's periods have whole seconds, and begin for a price where the subscription got it.
        """
        wanted = self._subscription(usage.subscription)
        standing = self._standing.get(usage.subscription)
        first, end = to_seconds(usage.period.start), to_seconds(usage.period.end)
        since = None if standing is None else standing.since.get(usage.price)
        if since is not None and since < end:
            first = max(first, since)
        at = min(max(to_seconds(usage.timestamp), first), max(first, end - 1))
        send_usage(
            self._client,
            StripeUsage(
                event_name=usage.price,
                customer=self._customer_of(wanted),
                value=usage.value,
                identifier=usage.identifier,
                timestamp=from_seconds(at),
            ),
        )

    def summarize_usage(self, *, customer: str, price: str, start: datetime, end: datetime) -> list[UsageSummary]:
        """Return what Stripe counted of a customer's usage of a price, by its links; nothing where it has no such."""
        of, meter = self._links.find(LinkKind.CUSTOMER, customer), self._links.find(LinkKind.METER, price)
        if of is None or meter is None:
            return []
        return usage_summaries(self._client, meter=meter, customer=of, start=start, end=end)

    def create_credit_grant(self, grant: ProviderGrant) -> None:
        """Mirror credit, where the subscription does so."""
        wanted = self._subscription(grant.subscription)
        if wanted.prepaid_billing is PrepaidBilling.MIRROR:
            give_credit(self._client, grant, customer=self._customer_of(wanted))

    def close_period(
        self,
        subscription: str,
        period: Period,
        *,
        issued_at: datetime,
        rated: tuple[RatedLine, ...] = (),
        metered: tuple[RatedLine, ...] = (),
        coupons: tuple[ProviderCoupon, ...] = (),
        credit: int = 0,
    ) -> ProviderInvoice:
        """Finalize a period's invoice; return the same one for every repeat. Stripe says when it was issued."""
        del issued_at
        wanted = self._subscription(subscription)
        closing = Closing(
            subscription=wanted, period=period, rated=rated, metered=metered, coupons=coupons, credit=credit
        )
        return close_period(
            self._client,
            closing,
            self._links,
            customer=self._customer_of(wanted),
            standing=self._standing.get(subscription),
        )

    def pay_invoice(self, invoice_id: str, *, paid_at: datetime) -> ProviderInvoice:
        """Take payment from the customer's method; an invoice that is sent for payment is marked as paid elsewhere."""
        del paid_at
        client = self._client
        invoice = retrieved(client, invoice_id)
        if invoice.status != "paid":
            elsewhere = invoice.collection_method == "send_invoice"
            asked(lambda: client.v1.invoices.pay(invoice_id, {"paid_out_of_band": True} if elsewhere else {}))
            invoice = retrieved(client, invoice_id)
        return read_invoice(client, invoice, {})

    def set_payment_method(self, customer: ProviderCustomer, payment_method: str) -> None:
        """Keep a method that charges are taken from; `InvalidInput` on `payment_method` for one it does not take."""
        set_payment_method(self._client, ensure_customer(self._client, customer, self._links), payment_method)

    def take_payment(self, charge: ProviderCharge) -> ProviderPayment:
        """Charge the customer's method once; a repeat answers what became of the first."""
        return take_payment(self._client, ensure_customer(self._client, charge.customer, self._links), charge)

    def _subscription(self, lookup_key: str) -> ProviderSubscription:
        wanted = self._wanted.get(lookup_key)
        if wanted is None:
            raise Conflict("subscription", f"{lookup_key} was not ensured on these links")
        return wanted

    def _customer_of(self, wanted: ProviderSubscription) -> str:
        customer = ProviderCustomer(lookup_key=wanted.customer, name=wanted.customer_name)
        return ensure_customer(self._client, customer, self._links)
