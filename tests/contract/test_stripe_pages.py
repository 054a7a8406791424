"""Pages at Stripe and what is read of its objects, every request judged."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest

from faregate.base.errors import Unavailable
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.overdue import invoice_overdue_from
from faregate.domain.billing.provider import ProviderCharge, ProviderCustomer, ProviderPrice
from faregate.domain.billing.provider_checkout import CheckoutPhase, PageUrls, SubscriptionPage, TopUpPage
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks, price_link_id
from faregate.providers.stripe.checkout import StripeCheckout
from faregate.providers.stripe.events import StripeReadings
from tests.contract.shop import Shop

_NUMBERS = count()
PLAN = "pln_page"
URLS = PageUrls(success="https://example.com/done", cancel="https://example.com/")


@pytest.fixture(autouse=True)
def judged(shop: Shop) -> Iterator[None]:
    yield
    assert shop.judge.refused() == []


@pytest.fixture
def customer() -> ProviderCustomer:
    return ProviderCustomer(lookup_key=f"app_1/globex-{next(_NUMBERS)}", name="Globex")


@pytest.fixture
def checkout(shop: Shop) -> StripeCheckout:
    return StripeCheckout(lambda: shop.client)


@pytest.fixture
def readings(shop: Shop) -> StripeReadings:
    return StripeReadings(lambda: shop.client, account=shop.provider.account)


def top_up(customer: ProviderCustomer) -> TopUpPage:
    return TopUpPage(
        checkout_id=f"chk_{customer.lookup_key}",
        customer=customer,
        currency="USD",
        amount=2_000,
        description="Credit for My AI API Plan",
        urls=URLS,
    )


def _at_stripe(shop: Shop, wanted: ProviderPrice) -> ProviderLinks:
    """The price stands there, and is linked."""
    v1 = shop.client.v1
    v1.products.create({"id": PLAN, "name": wanted.product})
    meter = v1.billing.meters.create(
        {"display_name": "Tokens", "event_name": wanted.lookup_key, "default_aggregation": {"formula": "sum"}}
    )
    price = v1.prices.create(
        {
            "product": PLAN,
            "currency": "usd",
            "unit_amount": 50,
            "recurring": {"interval": "month", "usage_type": "metered", "meter": meter.id},
        }
    )
    links = ProviderLinks()
    links.add(LinkKind.PRICE, price_link_id(wanted.lookup_key, wanted.currency), price.id)
    links.add(LinkKind.METER, wanted.lookup_key, meter.id)
    return links


def test_a_page_for_credit_is_made_once_read_and_closed(
    checkout: StripeCheckout, readings: StripeReadings, customer: ProviderCustomer
) -> None:
    page = top_up(customer)
    made = checkout.open_top_up(page, ProviderLinks())
    assert (made.phase, made.faregate_id) == (CheckoutPhase.OPEN, page.checkout_id)
    assert made.url
    assert checkout.open_top_up(page, ProviderLinks()) == made
    assert readings.read_checkout(made.session_id) == made
    assert [checkout.expire(made.session_id).phase for _ in range(2)] == [CheckoutPhase.EXPIRED] * 2


def test_a_page_for_a_plan_has_its_metered_prices_without_a_quantity(
    shop: Shop, checkout: StripeCheckout, customer: ProviderCustomer
) -> None:
    price = ProviderPrice(
        lookup_key=f"prc_page_{next(_NUMBERS)}",
        product="My AI API Plan",
        nickname="Input Tokens",
        currency="USD",
        unit_amount=Decimal(50),
        divide_by=1_000_000,
    )
    page = SubscriptionPage(
        checkout_id=f"chk_{customer.lookup_key}",
        subscription_id="sub_ordered",
        customer=customer,
        prices=(price,),
        urls=URLS,
    )
    with pytest.raises(Unavailable, match="on its way"):
        checkout.open_subscription(page, ProviderLinks())
    made = checkout.open_subscription(page, _at_stripe(shop, price))
    assert made.phase is CheckoutPhase.OPEN
    lines = shop.client.v1.checkout.sessions.line_items.list(made.session_id).data
    assert [line.price.product for line in lines if line.price] == [PLAN]


def test_an_invoice_whose_payment_fails_is_overdue_until_it_is_paid(
    shop: Shop, readings: StripeReadings, customer: ProviderCustomer
) -> None:
    links = ProviderLinks()
    provider = shop.provider.linked(links)
    provider.set_payment_method(customer, "pm_card_chargeCustomerFail")
    customer_id = links.find(LinkKind.CUSTOMER, customer.lookup_key) or ""
    assert readings.read_customer(customer_id).faregate_id == customer.lookup_key
    v1 = shop.client.v1
    invoice_id = v1.invoices.create({"customer": customer_id, "auto_advance": False}).id or ""
    v1.invoice_items.create({"customer": customer_id, "invoice": invoice_id, "amount": 250, "currency": "usd"})
    assert readings.read_invoice(invoice_id).status is None
    v1.invoices.finalize_invoice(invoice_id)
    standing = readings.read_invoice(invoice_id)
    assert (standing.status, standing.amount_remaining, standing.attempts) == (InvoiceStatus.OPEN, 250, 0)
    with pytest.raises(Exception, match="declined"):
        v1.invoices.pay(invoice_id)
    now = shop.clock.now()
    assert invoice_overdue_from(readings.read_invoice(invoice_id), seen_at=now) == now
    v1.invoices.pay(invoice_id, {"paid_out_of_band": True})
    assert readings.read_invoice(invoice_id).status is InvoiceStatus.PAID


def test_a_refund_is_read_with_what_it_was_paid_for(
    shop: Shop, readings: StripeReadings, customer: ProviderCustomer
) -> None:
    provider = shop.provider.linked(ProviderLinks())
    provider.set_payment_method(customer, "pm_card_visa")
    paid = provider.take_payment(
        ProviderCharge(lookup_key="top_refunded", customer=customer, currency="USD", amount=2_000, description="Credit")
    )
    refund = shop.client.v1.refunds.create({"payment_intent": paid.id, "amount": 500})
    charge = readings.read_charge(str(refund.charge))
    assert charge.faregate_id == "top_refunded"
    assert [(one.refund_id, one.amount) for one in charge.refunds] == [(refund.id, 500)]
    assert readings.read_refunded(refund.id) == charge


def test_events_are_listed_since_an_instant(shop: Shop, readings: StripeReadings, customer: ProviderCustomer) -> None:
    shop.clock.at += timedelta(hours=1)
    links = ProviderLinks()
    shop.provider.linked(links).set_payment_method(customer, "pm_card_visa")
    events = readings.events_since(shop.clock.now())
    assert "customer.created" in {event.kind for event in events}
    assert {event.created_at for event in events} == {shop.clock.now()}
    assert readings.events_since(shop.clock.now() + timedelta(seconds=1)) == []
