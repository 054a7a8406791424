"""Customers at Stripe: made once, under our id in their metadata; the method that their payments are taken from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from faregate.base.errors import InvalidInput, NotFound
from faregate.domain.billing.provider import ProviderCustomer
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks
from faregate.providers.stripe.client import asked, created
from faregate.providers.stripe.shapes import OUR_ID, find_ours, from_page, key_of

if TYPE_CHECKING:
    from stripe import Customer, StripeClient
    from stripe.params import CustomerCreateParams, CustomerListParams


def ensure_customer(client: StripeClient, wanted: ProviderCustomer, links: ProviderLinks) -> str:
    """Return Stripe's id of a customer, made now if need be."""
    known = links.find(LinkKind.CUSTOMER, wanted.lookup_key)
    if known is not None:
        return known
    sent: dict[str, Any] = {"name": wanted.name, "metadata": {OUR_ID: wanted.lookup_key}}
    customer = created(
        lambda key: client.v1.customers.create(cast("CustomerCreateParams", sent), {"idempotency_key": key}),
        key=key_of("customer", wanted.lookup_key, sent),
        find=lambda: _find(client, wanted.lookup_key),
    )
    links.add(LinkKind.CUSTOMER, wanted.lookup_key, customer.id)
    return customer.id


def set_payment_method(client: StripeClient, customer: str, payment_method: str) -> None:
    """Keep a method that later payments are taken from; `InvalidInput` on `payment_method` for one it refuses."""
    try:
        attached = asked(lambda: client.v1.payment_methods.attach(payment_method, {"customer": customer}))
    except (InvalidInput, NotFound) as error:
        raise InvalidInput.of("payment_method", error.message) from None
    asked(lambda: client.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": attached.id}}))


def default_payment_method(client: StripeClient, customer: str) -> str | None:
    """Return the method that payments are taken from, if there is one."""
    found = asked(lambda: client.v1.customers.retrieve(customer))
    method = None if found.invoice_settings is None else found.invoice_settings.default_payment_method
    return method if method is None or isinstance(method, str) else method.id


def _find(client: StripeClient, lookup_key: str) -> Customer | None:
    return find_ours(lambda after: client.v1.customers.list(cast("CustomerListParams", from_page(after))), lookup_key)
