"""A company at the billing provider: its id there, and the method that charges are taken from."""

from __future__ import annotations

from faregate.base.clock import Clock
from faregate.domain.billing.provider import BillingProvider, ProviderCustomer
from faregate.services.customers import find_company
from faregate.services.provider_calls import ask_provider
from faregate.services.provider_linking import linked_provider
from faregate.storage.database import Database


def provider_customer(application_id: str, company_id: str) -> str:
    """Return our id of a company at the provider, whose customers are of all applications."""
    return f"{application_id}/{company_id}"


async def set_payment_method(
    database: Database,
    provider: BillingProvider,
    clock: Clock,
    *,
    application_id: str,
    company_id: str,
    payment_method: str,
) -> None:
    """Let the provider keep a payment method of a company; a repeat changes nothing.

    Raises `NotFound` for an unknown company, `InvalidInput` on `payment_method` for one that the provider does not
    take, and `Unavailable` if it did not answer.
    """
    company = await database.read(lambda tx: find_company(tx, application_id, company_id))
    customer = ProviderCustomer(lookup_key=provider_customer(application_id, company_id), name=company.name)
    async with linked_provider(
        database, provider, clock, application_id=application_id, our_ids=[customer.lookup_key]
    ) as linked:
        await ask_provider(linked.set_payment_method, customer, payment_method)
