"""Which company a customer of the billing provider is: mapped once, whoever made it."""

from __future__ import annotations

from faregate.base.limits import MAX_NAME_CHARACTERS
from faregate.domain.billing.provider_links import LinkKind, ProviderLink
from faregate.domain.billing.standing import CustomerStanding
from faregate.services.change import Change
from faregate.services.provider_customers import provider_customer
from faregate.storage.customers import CompanyRow, find_company, insert_company, rename_company
from faregate.storage.database import Transaction
from faregate.storage.provider_links import find_linked, keep_links
from faregate.storage.provider_standings import CompanyPlace


def company_of_customer(transaction: Transaction, *, account: str, customer_id: str) -> CompanyPlace | None:
    """Return the company that a customer is linked to, if it is."""
    for linked in find_linked(transaction, account=account, kind=LinkKind.CUSTOMER, provider_id=customer_id):
        company_id = linked.our_id.removeprefix(provider_customer(linked.application_id, ""))
        return CompanyPlace(application_id=linked.application_id, company_id=company_id)
    return None


def adopt_customer(
    transaction: Transaction, change: Change, customer: CustomerStanding, *, account: str
) -> CompanyPlace | None:
    """Return the company of a customer, linked now if it was not: the one named on it, or a new one with its id.

    None for a deleted customer that was never linked. A company that was made so follows the customer's name.
    """
    place = company_of_customer(transaction, account=account, customer_id=customer.customer_id)
    if customer.is_deleted:
        return place
    if place is None:
        place = _named_company(transaction, customer) or _new_company(transaction, change, customer)
        link = ProviderLink(
            kind=LinkKind.CUSTOMER,
            our_id=provider_customer(place.application_id, place.company_id),
            provider_id=customer.customer_id,
        )
        keep_links(transaction, [link], application_id=place.application_id, account=account, now=change.now)
    if place.company_id == customer.customer_id:
        rename_company(transaction, place.application_id, place.company_id, name=_name(customer))
    return place


def _named_company(transaction: Transaction, customer: CustomerStanding) -> CompanyPlace | None:
    application_id, _, company_id = customer.faregate_id.partition("/")
    if find_company(transaction, application_id, company_id) is None:
        return None
    return CompanyPlace(application_id=application_id, company_id=company_id)


def _new_company(transaction: Transaction, change: Change, customer: CustomerStanding) -> CompanyPlace:
    if find_company(transaction, change.application_id, customer.customer_id) is None:
        row = CompanyRow(company_id=customer.customer_id, name=_name(customer), created_at=change.now)
        insert_company(transaction, change.application_id, row)
    return CompanyPlace(application_id=change.application_id, company_id=customer.customer_id)


def _name(customer: CustomerStanding) -> str:
    name = "".join(character for character in customer.name if character.isprintable()).strip()
    return name[:MAX_NAME_CHARACTERS] or customer.customer_id
