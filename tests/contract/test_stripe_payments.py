"""Customers and their payments at Stripe, every request judged: made once, charged once, whatever is asked again."""

from collections.abc import Iterator
from itertools import count

import pytest

from faregate.base.errors import InvalidInput
from faregate.domain.billing.provider import ProviderCharge, ProviderCustomer
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks
from faregate.providers.stripe.shapes import metadata_of
from tests.contract.shop import Shop

_NUMBERS = count()


@pytest.fixture(autouse=True)
def judged(shop: Shop) -> Iterator[None]:
    yield
    assert shop.judge.refused() == []


@pytest.fixture
def customer() -> ProviderCustomer:
    return ProviderCustomer(lookup_key=f"app_1/acme-{next(_NUMBERS)}", name="Acme")


def charge_of(customer: ProviderCustomer, key: str) -> ProviderCharge:
    return ProviderCharge(lookup_key=key, customer=customer, currency="USD", amount=2_000, description="Credit")


def test_a_customer_is_made_once_even_where_its_link_was_lost(shop: Shop, customer: ProviderCustomer) -> None:
    links = [ProviderLinks(), ProviderLinks()]
    for each in links:
        shop.provider.linked(each).set_payment_method(customer, "pm_card_visa")
    made, found = (each.find(LinkKind.CUSTOMER, customer.lookup_key) for each in links)
    assert made is not None
    assert made == found
    kept = shop.client.v1.customers.retrieve(made)
    assert (kept.name, metadata_of(kept.metadata)) == ("Acme", {"faregate_id": customer.lookup_key})


def test_a_charge_is_taken_once_and_answered_again(shop: Shop, customer: ProviderCustomer) -> None:
    provider = shop.provider.linked(ProviderLinks())
    provider.set_payment_method(customer, "pm_card_visa")
    first = provider.take_payment(charge_of(customer, f"{customer.lookup_key}/1"))
    assert first.failure is None
    assert provider.take_payment(charge_of(customer, f"{customer.lookup_key}/1")) == first
    assert provider.take_payment(charge_of(customer, f"{customer.lookup_key}/2")).id != first.id


@pytest.mark.parametrize(
    ("method", "failure"),
    [("pm_card_chargeCustomerFail", "card_declined"), ("pm_card_authenticationRequired", "authentication_required")],
)
def test_a_charge_that_is_declined_says_why_again_and_again(
    shop: Shop, customer: ProviderCustomer, method: str, failure: str
) -> None:
    provider = shop.provider.linked(ProviderLinks())
    provider.set_payment_method(customer, method)
    charge = charge_of(customer, f"{customer.lookup_key}/1")
    first = provider.take_payment(charge)
    assert first.failure == failure
    assert provider.take_payment(charge) == first


def test_without_a_method_nothing_is_charged(shop: Shop, customer: ProviderCustomer) -> None:
    payment = shop.provider.linked(ProviderLinks()).take_payment(charge_of(customer, customer.lookup_key))
    assert (payment.id, payment.failure) == ("", "no_payment_method")


def test_a_method_that_stripe_does_not_take_is_named_as_ours(shop: Shop, customer: ProviderCustomer) -> None:
    with pytest.raises(InvalidInput) as raised:
        shop.provider.linked(ProviderLinks()).set_payment_method(customer, "pm_card_nobody")
    assert [fault.field for fault in raised.value.faults] == ["payment_method"]
