"""Periods closed at Stripe, every request judged: the invoice says what we rated, once, whatever is asked again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest

from faregate.base.periods import Period
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider import (
    ProviderGrant,
    ProviderInvoice,
    ProviderSubscription,
    RatedLine,
)
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.domain.customers.prepaid_billing import PrepaidBilling
from faregate.providers.stripe.billing import StripeProvider
from tests.contract.shop import Shop

MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
LATER = MARCH.end + timedelta(minutes=2)
RATED = RatedLine(price="prc_flat", description="Seats", quantity=Decimal("2.5"), amount=1_000)
METERED = RatedLine(price="prc_in", description="Input", quantity=Decimal(1_500_000), amount=100)

Close = Callable[..., ProviderInvoice]

_NUMBERS = count()


@pytest.fixture(autouse=True)
def judged(shop: Shop) -> Iterator[None]:
    shop.clock.at = MARCH.start + timedelta(days=1)
    yield
    assert shop.judge.refused() == []


@pytest.fixture
def plain() -> ProviderSubscription:
    """A subscription whose periods Stripe does not have."""
    number = next(_NUMBERS)
    return ProviderSubscription(
        lookup_key=f"sub_{number}",
        customer=f"app_1/acme-{number}",
        customer_name="Acme",
        currency="USD",
        prices=(),
        billing_cycle_anchor=MARCH.start,
        cycle=None,
        payment_terms=timedelta(days=14),
        prepaid_billing=PrepaidBilling.MIRROR,
    )


@pytest.fixture
def close(shop: Shop) -> Callable[..., ProviderInvoice]:
    """Close March of a subscription, on new links: nothing is known but what Stripe says."""

    def closed(wanted: ProviderSubscription, *, credit: int = 0) -> ProviderInvoice:
        shop.clock.at = LATER
        return ensured(shop, wanted).close_period(
            wanted.lookup_key,
            MARCH,
            issued_at=LATER,
            rated=(RATED,),
            metered=(METERED,),
            credit=credit,
        )

    return closed


def ensured(shop: Shop, wanted: ProviderSubscription) -> StripeProvider:
    provider = shop.provider.linked(ProviderLinks())
    provider.ensure_subscription(wanted)
    return provider


def give(shop: Shop, wanted: ProviderSubscription, value: str, name: str = "1") -> None:
    ensured(shop, wanted).create_credit_grant(
        ProviderGrant(
            lookup_key=f"{wanted.lookup_key}:{name}",
            subscription=wanted.lookup_key,
            currency="USD",
            value=Decimal(value),
            category="paid",
        )
    )


def test_a_period_that_stripe_does_not_have_is_billed_by_an_invoice_of_our_lines(
    close: Close, plain: ProviderSubscription
) -> None:
    invoice = close(plain)
    assert {line.price: (line.quantity, line.amount) for line in invoice.lines} == {
        "prc_flat": (Decimal("2.5"), 1_000),
        "prc_in": (Decimal(1_500_000), 100),
    }
    assert (invoice.subscription, invoice.customer, invoice.period) == (plain.lookup_key, plain.customer, MARCH)
    assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (1_100, 0, 1_100)
    assert (invoice.status, invoice.created) == (InvoiceStatus.OPEN, LATER)
    assert invoice.due_date == LATER + timedelta(days=14)


def test_a_close_that_is_repeated_gives_the_same_invoice(close: Close, plain: ProviderSubscription) -> None:
    assert close(plain, credit=30) == close(plain, credit=30)


@pytest.mark.parametrize("way", [PrepaidBilling.MIRROR, PrepaidBilling.ZERO_OUT])
def test_credit_that_grants_cannot_pay_is_taken_off_by_a_line_and_is_gone_at_stripe(
    shop: Shop, close: Close, plain: ProviderSubscription, way: PrepaidBilling
) -> None:
    wanted = replace(plain, prepaid_billing=way)
    give(shop, wanted, "300")
    invoice = close(wanted, credit=250)
    assert close(wanted, credit=250) == invoice
    assert (invoice.total, invoice.credit_applied, invoice.amount_due) == (1_100, 250, 850)
    customer = shop.client.v1.invoices.retrieve(invoice.id).customer
    assert shop.client.v1.invoices.retrieve(invoice.id).amount_due == 850
    assert balance(shop, str(customer)) == (50 if way is PrepaidBilling.MIRROR else 0)


def test_what_is_taken_back_ends_grants_newest_first_and_once(shop: Shop, plain: ProviderSubscription) -> None:
    give(shop, plain, "100.9", "a")
    give(shop, plain, "50", "b")
    for _ in range(2):
        give(shop, plain, "-70.5", "c")
        assert balance(shop, customer_of(shop, plain)) == 79
    give(shop, plain, "-500", "d")
    assert balance(shop, customer_of(shop, plain)) == 0


def customer_of(shop: Shop, wanted: ProviderSubscription) -> str:
    links = ProviderLinks()
    shop.provider.linked(links).ensure_subscription(wanted)
    (link,) = links.made
    return link.provider_id


def balance(shop: Shop, customer: str) -> int:
    summary = shop.client.v1.billing.credit_balance_summary.retrieve(
        {
            "customer": customer,
            "filter": {"type": "applicability_scope", "applicability_scope": {"price_type": "metered"}},
        }
    )
    amounts = [each.available_balance.monetary for each in summary.balances]
    return sum(amount.value for amount in amounts if amount is not None)


def test_an_invoice_that_was_sent_is_marked_as_paid_once(shop: Shop, close: Close, plain: ProviderSubscription) -> None:
    invoice = close(plain)
    for _ in range(2):
        paid = shop.provider.pay_invoice(invoice.id, paid_at=LATER)
        assert (paid.status, paid.paid_at, paid.amount_due) == (InvoiceStatus.PAID, LATER, 1_100)


def test_an_invoice_that_is_due_at_once_is_taken_from_the_method(
    shop: Shop, close: Close, plain: ProviderSubscription
) -> None:
    wanted = replace(plain, payment_terms=timedelta(0))
    customer = customer_of(shop, wanted)
    method = shop.client.v1.payment_methods.attach("pm_card_visa", {"customer": customer})
    shop.client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": method.id}})
    invoice = close(wanted)
    assert shop.provider.pay_invoice(invoice.id, paid_at=LATER).status is InvoiceStatus.PAID
