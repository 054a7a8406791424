"""Pages of the billing provider where a customer buys credit or subscribes: ordered here, settled by what it says.

The order is committed before the provider is asked, which makes one page for it. Credit is given once a page, when the
provider says that the money is there: never because the customer came back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never

from faregate.base.clock import Clock
from faregate.base.ids import IdSource
from faregate.base.money import currency, from_ledger_units, to_minor_units
from faregate.domain.billing.provider import ProviderCustomer, ProviderPrice
from faregate.domain.billing.provider_checkout import (
    CheckoutMode,
    CheckoutPhase,
    CheckoutStanding,
    PageUrls,
    ProviderCheckout,
    SubscriptionPage,
    TopUpPage,
)
from faregate.domain.billing.provider_links import ProviderLinks, price_link_id
from faregate.services.business_clock import business_now
from faregate.services.change import Change, change_now
from faregate.services.checkout_orders import existing_checkout, order_page, page_prices, take_checkout
from faregate.services.customers import find_company
from faregate.services.provider_calls import ask_provider
from faregate.services.provider_customers import provider_customer
from faregate.storage import checkouts as stored
from faregate.storage.catalog import find_plan
from faregate.storage.checkouts import CheckoutRow
from faregate.storage.database import Database, Transaction
from faregate.storage.provider_links import keep_links, read_links
from faregate.wire.api.checkouts import CheckoutCreate


class Checkouts:
    """Opens and expires pages. `account`: asks the provider for its account, under which links are kept."""

    def __init__(
        self,
        database: Database,
        provider: ProviderCheckout,
        clock: Clock,
        *,
        account: Callable[[], str],
        new_id: IdSource,
    ) -> None:
        self._database = database
        self._provider = provider
        self._clock = clock
        self._account = account
        self._new_id = new_id

    async def open(
        self, application_id: str, company_id: str, request: CheckoutCreate, *, caller_id: str
    ) -> CheckoutRow:
        """Return the page of an order; a repeated `caller_id` returns the first one's.

        Raises `NotFound`, `InvalidInput` and `Conflict` for what cannot be ordered, `Unavailable` where the provider
        did not answer: repeating opens the same page.
        """

        def order(transaction: Transaction) -> CheckoutRow:
            change = self._change(transaction, application_id)
            return order_page(transaction, change, request, company_id=company_id, caller_id=caller_id)

        row = await self._database.write(order)
        if row.phase is not CheckoutPhase.OPENING:
            return row
        account = await ask_provider(self._account)
        page, links = await self._database.read(lambda tx: self._page(tx, row, account=account))
        match page:
            case TopUpPage():
                standing = await ask_provider(self._provider.open_top_up, page, links)
            case SubscriptionPage():
                standing = await ask_provider(self._provider.open_subscription, page, links)
            case other:
                assert_never(other)
        return await self._keep(row, standing, links=links, account=account)

    async def expire_open(self, subscription_id: str) -> None:
        """Let nobody pay any more at pages that sell credit of an account; take over what was paid there before."""
        for row in await self._database.read(lambda tx: stored.open_top_up_pages(tx, subscription_id)):
            standing = await ask_provider(self._provider.expire, row.session_id or "")
            await self._keep(row, standing)

    async def open_portal(self, application_id: str, company_id: str, *, return_url: str) -> str:
        """Return where a company looks after its payment methods and invoices."""
        account = await ask_provider(self._account)

        def read(transaction: Transaction) -> tuple[ProviderCustomer, ProviderLinks]:
            return _customer(transaction, application_id, company_id, account=account, more=())

        customer, links = await self._database.read(read)
        url = await ask_provider(self._provider.open_portal, customer, links, return_url=return_url)
        await self._database.write(lambda tx: self._keep_links(tx, application_id, links, account=account))
        return url

    async def _keep(
        self, row: CheckoutRow, standing: CheckoutStanding, *, links: ProviderLinks | None = None, account: str = ""
    ) -> CheckoutRow:
        def keep(transaction: Transaction) -> CheckoutRow:
            if links is not None:
                self._keep_links(transaction, row.application_id, links, account=account)
            change = self._change(transaction, row.application_id)
            take_checkout(transaction, change, checkout_id=row.checkout_id, standing=standing)
            return existing_checkout(transaction, row.checkout_id)

        return await self._database.write(keep)

    def _keep_links(self, transaction: Transaction, application_id: str, links: ProviderLinks, *, account: str) -> None:
        now = business_now(transaction, application_id, self._clock)
        keep_links(transaction, links.made, application_id=application_id, account=account, now=now)

    def _page(
        self, transaction: Transaction, row: CheckoutRow, *, account: str
    ) -> tuple[TopUpPage | SubscriptionPage, ProviderLinks]:
        plan = find_plan(transaction, row.application_id, row.plan_id)
        assert plan is not None  # noqa: S101 - plans are never deleted
        prices: tuple[ProviderPrice, ...] = ()
        if row.mode is CheckoutMode.SUBSCRIPTION:
            now = business_now(transaction, row.application_id, self._clock)
            prices = page_prices(transaction, row, plan_name=plan.name, now=now)
        more = [row.plan_id, *(price_link_id(price.lookup_key, price.currency) for price in prices)]
        customer, links = _customer(
            transaction,
            row.application_id,
            row.company_id,
            account=account,
            more=[*more, *(price.lookup_key for price in prices)],
        )
        urls = PageUrls(success=row.success_url, cancel=row.cancel_url)
        if row.mode is CheckoutMode.SUBSCRIPTION:
            return (
                SubscriptionPage(
                    checkout_id=row.checkout_id,
                    subscription_id=row.subscription_id,
                    customer=customer,
                    prices=prices,
                    urls=urls,
                ),
                links,
            )
        unit = currency(row.currency)
        page = TopUpPage(
            checkout_id=row.checkout_id,
            customer=customer,
            currency=row.currency,
            amount=to_minor_units(from_ledger_units(row.amount, unit), unit),
            description=f"Credit for {plan.name}",
            urls=urls,
        )
        return page, links

    def _change(self, transaction: Transaction, application_id: str) -> Change:
        return change_now(transaction, application_id, self._clock, new_id=self._new_id)


def _customer(
    transaction: Transaction, application_id: str, company_id: str, *, account: str, more: Sequence[str]
) -> tuple[ProviderCustomer, ProviderLinks]:
    """Return who a company is at the provider, with the links of it and of more things of ours."""
    company = find_company(transaction, application_id, company_id)
    customer = ProviderCustomer(lookup_key=provider_customer(application_id, company_id), name=company.name)
    known = read_links(
        transaction, application_id=application_id, account=account, our_ids=[customer.lookup_key, *more]
    )
    return customer, ProviderLinks(known)
