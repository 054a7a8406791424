"""A world with a billing provider: what tests of billing do, and a provider that fails where a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import insert, update

from faregate.base.errors import Unavailable
from faregate.base.periods import Period
from faregate.domain.billing.invoice import Invoice
from faregate.domain.billing.provider import (
    BillingProvider,
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
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.domain.billing.provider_usage import UsageSummary
from faregate.domain.catalog.price import Price
from faregate.domain.governance.rule import Cohort
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.services.billing_tick import billing_tick
from faregate.services.invoices import list_invoices, pay_invoice
from faregate.storage import tables
from faregate.storage.governance import read_memberships
from tests.builders import a_price, terms_text
from tests.services.world import APP, COMPANY, NOW, SUBSCRIPTION, Call, World, add_subscription


@dataclass
class Desk:
    """A world and the provider that bills it."""

    world: World
    provider: EmbeddedProvider
    calls: int = field(default=0)

    def use(self, prompt_tokens: int, completion_tokens: int, *, at: datetime = NOW, company_id: str = COMPANY) -> None:
        """One metered call, applied."""
        self.calls += 1
        self.world.take(
            Call(
                request_id=f"req_{self.calls}",
                sequence=self.calls,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                occurred_at=at,
                company_id=company_id,
                # Tests date calls as they like; the ledger takes them as it takes a replay's.
                replay=True,
            )
        )

    def move(self, instant: datetime) -> None:
        """Business time is `instant` now."""
        self.world.clock.at = instant

    def tick(self, provider: BillingProvider | None = None) -> None:
        """One pass of billing."""
        asyncio.run(billing_tick(self.world.database, provider or self.provider, self.world.clock))

    def tick_side_by_side(self, passes: int) -> None:
        """Several passes at the same time, as when a clock is advanced while the loop is at it."""

        async def run() -> None:
            await asyncio.gather(
                *(billing_tick(self.world.database, self.provider, self.world.clock) for _ in range(passes))
            )

        asyncio.run(run())

    def close_month(self, end: datetime, provider: BillingProvider | None = None) -> None:
        """Let a month end, and its grace."""
        self.move(end + timedelta(minutes=2))
        self.tick(provider)

    def pay(self, invoice_id: str, provider: BillingProvider | None = None) -> Invoice:
        """The customer pays."""
        return asyncio.run(
            pay_invoice(
                self.world.database,
                provider or self.provider,
                self.world.clock,
                application_id=APP,
                invoice_id=invoice_id,
            )
        )

    def invoices(self, company_id: str | None = None) -> list[Invoice]:
        """Our invoices, oldest first."""
        with self.world.database.snapshot() as transaction:
            return list_invoices(transaction, APP, company_id=company_id, limit=100)

    def provider_invoices(self, subscription_id: str = SUBSCRIPTION) -> list[ProviderInvoice]:
        """The provider's invoices, oldest first."""
        return self.provider.list_invoices(subscription=subscription_id)

    def cohorts(self, company_id: str = COMPANY) -> set[Cohort]:
        """The cohorts a company is in."""
        with self.world.database.snapshot() as transaction:
            return set(read_memberships(transaction, APP, [company_id]).get(company_id, frozenset()))

    def balance(self, subscription_id: str = SUBSCRIPTION) -> int:
        """The account's balance in ledger units."""
        return self.world.account(subscription_id).balance

    def waiting(self) -> list[dict[str, object]]:
        """Messages that the provider has not got yet."""
        return [row for row in self.outbox() if row["delivered_at"] is None]

    def messages(self, kind: str) -> list[dict[str, object]]:
        """All messages of a kind."""
        return [row for row in self.outbox() if row["kind"] == kind]

    def outbox(self) -> list[dict[str, object]]:
        """All messages in the order they were written."""
        return sorted(self.world.rows("outbox"), key=lambda row: str(row["outbox_id"]).rjust(9))

    def add_company(self, company_id: str, *, pays: str = "postpaid") -> str:
        """Another company on the plan; its subscription's id."""
        subscription_id = f"sub_{company_id}"
        with self.world.database.begin() as transaction:
            transaction.execute(
                insert(tables.company).values(
                    application_id=APP, company_id=company_id, name=company_id.title(), created_at=NOW
                )
            )
            add_subscription(transaction, subscription_id, company_id, pays)
        return subscription_id

    def set_price(self, price_id: str, *, amount: str, size: str) -> None:
        """Give a price other terms, before anything is used."""
        self.set_terms(price_id, a_price(amount, Decimal(size)))

    def set_terms(self, price_id: str, price: Price) -> None:
        """Give a price the model and adjustments of another, before anything is used."""
        with self.world.database.begin() as transaction:
            transaction.execute(
                update(tables.price).where(tables.price.c.price_id == price_id).values(terms=terms_text(price))
            )


Fault = Callable[[str, str], None]
"""Called with a method's name and the key it was called for; raises where the test says so."""


def _no_fault(method: str, key: str) -> None:
    del method, key


@dataclass
class FaultyProvider:
    """The embedded provider behind a bad line: `before` fails requests, `after` loses answers to what was done."""

    inner: EmbeddedProvider
    before: Fault = _no_fault
    after: Fault = _no_fault

    def account(self) -> str:
        return self.inner.account()

    def linked(self, links: ProviderLinks) -> FaultyProvider:
        return replace(self, inner=self.inner.linked(links))

    def ensure_subscription(self, wanted: ProviderSubscription) -> None:
        self.before("ensure_subscription", wanted.lookup_key)
        self.inner.ensure_subscription(wanted)
        self.after("ensure_subscription", wanted.lookup_key)

    def report_usage(self, usage: MeterEvent) -> None:
        self.before("report_usage", usage.customer)
        self.inner.report_usage(usage)
        self.after("report_usage", usage.customer)

    def summarize_usage(self, *, customer: str, price: str, start: datetime, end: datetime) -> list[UsageSummary]:
        self.before("summarize_usage", customer)
        return self.inner.summarize_usage(customer=customer, price=price, start=start, end=end)

    def create_credit_grant(self, grant: ProviderGrant) -> None:
        self.before("create_credit_grant", grant.subscription)
        self.inner.create_credit_grant(grant)
        self.after("create_credit_grant", grant.subscription)

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
        self.before("close_period", subscription)
        invoice = self.inner.close_period(
            subscription, period, issued_at=issued_at, rated=rated, metered=metered, coupons=coupons, credit=credit
        )
        self.after("close_period", subscription)
        return invoice

    def pay_invoice(self, invoice_id: str, *, paid_at: datetime) -> ProviderInvoice:
        self.before("pay_invoice", invoice_id)
        invoice = self.inner.pay_invoice(invoice_id, paid_at=paid_at)
        self.after("pay_invoice", invoice_id)
        return invoice

    def set_payment_method(self, customer: ProviderCustomer, payment_method: str) -> None:
        self.before("set_payment_method", customer.lookup_key)
        self.inner.set_payment_method(customer, payment_method)
        self.after("set_payment_method", customer.lookup_key)

    def take_payment(self, charge: ProviderCharge) -> ProviderPayment:
        self.before("take_payment", charge.lookup_key)
        payment = self.inner.take_payment(charge)
        self.after("take_payment", charge.lookup_key)
        return payment


class Once:
    """A fault that happens the first time a method is called, and never again."""

    def __init__(self, method: str) -> None:
        self._method = method
        self.happened = False

    def __call__(self, method: str, key: str) -> None:
        if method == self._method and not self.happened:
            self.happened = True
            raise Unavailable(f"the line broke at {method} of {key}")
