"""Previews of the next invoice, and whole months of a subscription, through the official SDK."""

from typing import Any

import pytest
from stripe import InvalidRequestError, StripeClient

from tests.sandbox.subscribing import Subscriber, at
from tests.sandbox.test_invoices import add, make_customer

PACKAGE: dict[str, Any] = {"transform_quantity": {"divide_by": 1_000_000, "round": "up"}}
HOUR_S = 3_600


def test_a_preview_of_a_subscription_is_its_next_invoice(stripe: StripeClient) -> None:
    acme = Subscriber(stripe, start=at(2026, 3))
    meter, event = acme.meter()
    subscription = acme.subscribe(acme.price(900), acme.price(50, meter=meter, **PACKAGE))
    acme.use(event, 1_000_001, at(2026, 3))
    add(stripe, acme.customer, 30)
    preview = stripe.v1.invoices.create_preview({"subscription": subscription.id})
    assert (preview.billing_reason, preview.number, preview.total) == ("upcoming", None, 1_030)
    assert (preview.period_start, preview.period_end) == (at(2026, 3), at(2026, 4))
    acme.advance(at(2026, 4) + HOUR_S)
    invoice = acme.invoices(subscription)[-1]
    assert [line.amount for line in invoice.lines.data] == [line.amount for line in preview.lines.data]
    assert (invoice.status, invoice.total) == ("paid", preview.total)
    assert invoice.parent is not None
    assert invoice.parent.subscription_details is not None
    assert invoice.parent.subscription_details.subscription == subscription.id


def test_a_preview_of_a_customer_is_of_what_is_pending_and_of_what_is_named(stripe: StripeClient) -> None:
    customer = make_customer(stripe)
    with pytest.raises(InvalidRequestError, match="No upcoming invoices") as nothing:
        stripe.v1.invoices.create_preview({"customer": customer})
    assert nothing.value.code == "invoice_upcoming_none"
    add(stripe, customer, 30)
    preview = stripe.v1.invoices.create_preview(
        {"customer": customer, "invoice_items": [{"amount": 12, "currency": "usd"}]}
    )
    assert [line.amount for line in preview.lines.data] == [30, 12]
    assert stripe.v1.invoices.list({"customer": customer}).data == []
    assert len(stripe.v1.invoice_items.list({"customer": customer}).data) == 1


def test_the_last_invoice_of_a_subscription_that_ends_bills_usage_alone(stripe: StripeClient) -> None:
    acme = Subscriber(stripe, start=at(2026, 3))
    subscription = acme.subscribe(acme.price(900), cancel_at_period_end=True)
    assert stripe.v1.invoices.create_preview({"subscription": subscription.id}).lines.data == []
    stripe.v1.subscriptions.cancel(subscription.id)
    with pytest.raises(InvalidRequestError, match="No upcoming invoices"):
        stripe.v1.invoices.create_preview({"subscription": subscription.id})


def test_credit_pays_for_a_month_of_usage_and_not_for_what_is_paid_ahead(stripe: StripeClient) -> None:
    acme = Subscriber(stripe, start=at(2026, 3))
    meter, event = acme.meter()
    subscription = acme.subscribe(acme.price(900), acme.price(50, meter=meter, **PACKAGE))
    grant = stripe.v1.billing.credit_grants.create(
        {
            "customer": acme.customer,
            "amount": {"type": "monetary", "monetary": {"currency": "usd", "value": 120}},
            "applicability_config": {"scope": {"price_type": "metered"}},
        }
    )
    acme.use(event, 1_500_000, at(2026, 3))
    acme.advance(at(2026, 4) + HOUR_S)
    acme.advance(at(2026, 4) + 2 * HOUR_S)
    invoice = acme.invoices(subscription)[-1]
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (1_000, 900, 900)
    (applied,) = invoice.total_pretax_credit_amounts or []
    row = stripe.v1.billing.credit_balance_transactions.retrieve(str(applied.credit_balance_transaction))
    assert (row.credit_grant, row.created) == (grant.id, at(2026, 4) + HOUR_S)
