"""Read invoices, and pay them."""

from __future__ import annotations

from typing import Final

import stamina

from faregate.base.clock import Clock
from faregate.base.errors import NotFound, Unavailable
from faregate.base.limits import PROVIDER_TIMEOUT_S
from faregate.domain.billing.invoice import Invoice, InvoiceStatus
from faregate.domain.billing.provider import BillingProvider, ProviderInvoice
from faregate.services.business_clock import business_now
from faregate.services.membership import refresh_membership
from faregate.services.provider_calls import ask_provider
from faregate.storage.billing import find_invoice, list_invoice_rows, set_invoice_paid
from faregate.storage.database import Database, Transaction

_PAY_ATTEMPTS: Final = 3


def list_invoices(
    transaction: Transaction, application_id: str, *, company_id: str | None = None, after: str = "", limit: int
) -> list[Invoice]:
    """Return invoices, of one company or of all, oldest first, from the first one after the id `after`."""
    return list_invoice_rows(transaction, application_id, company_id=company_id, after=after, limit=limit)


def get_invoice(transaction: Transaction, application_id: str, invoice_id: str) -> Invoice:
    """Return an invoice; `NotFound` if the application has none of that id."""
    invoice = find_invoice(transaction, application_id, invoice_id)
    if invoice is None:
        raise NotFound("invoice", invoice_id)
    return invoice


async def pay_invoice(
    database: Database, provider: BillingProvider, clock: Clock, *, application_id: str, invoice_id: str
) -> Invoice:
    """Take payment of an open invoice at the provider, then let the company in again; a paid one is returned as it is.

    Raises `NotFound` for an unknown invoice and `Unavailable` if the provider did not answer: repeating is safe.
    """
    invoice = await database.read(lambda tx: get_invoice(tx, application_id, invoice_id))
    if invoice.status is InvoiceStatus.PAID:
        return invoice
    paid_at = await database.read(lambda tx: business_now(tx, application_id, clock))
    async for attempt in stamina.retry_context(on=Unavailable, attempts=_PAY_ATTEMPTS, timeout=PROVIDER_TIMEOUT_S):
        with attempt:
            paid = await ask_provider(provider.pay_invoice, invoice_id, paid_at=paid_at)
    return await database.write(lambda tx: _record_payment(tx, clock, application_id, paid=paid))


def _record_payment(transaction: Transaction, clock: Clock, application_id: str, *, paid: ProviderInvoice) -> Invoice:
    now = business_now(transaction, application_id, clock)
    set_invoice_paid(transaction, paid.id, paid.paid_at or now)
    invoice = get_invoice(transaction, application_id, paid.id)
    refresh_membership(transaction, application_id=application_id, company_ids=[invoice.company_id], now=now)
    return invoice
