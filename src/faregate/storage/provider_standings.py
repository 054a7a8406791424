"""How invoices and subscriptions stand at the billing provider, and who owes money too long by that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, update

from faregate.domain.billing.invoice import InvoicePayment, InvoiceStatus
from faregate.domain.billing.standing import InvoiceStanding, SubscriptionStanding
from faregate.storage.database import Transaction
from faregate.storage.tables import invoice, provider_invoice, provider_subscription
from faregate.storage.upsert import chunks, upsert

DRAFT: Final = "draft"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyPlace:
    """A company, and the application that it is a customer of."""

    application_id: str
    company_id: str


def keep_invoice_standing(
    transaction: Transaction, company: CompanyPlace, standing: InvoiceStanding, *, overdue_from: datetime | None
) -> None:
    """Keep how an invoice of a company stands; one that was paid stays so."""
    if _status_kept(transaction, standing.invoice_id) == InvoiceStatus.PAID and standing.status is InvoiceStatus.OPEN:
        return
    row = {
        "invoice_id": standing.invoice_id,
        "application_id": company.application_id,
        "company_id": company.company_id,
        "number": standing.number,
        "currency": standing.currency,
        "status": DRAFT if standing.status is None else standing.status.value,
        "collection": standing.collection.value,
        "amount_due": standing.amount_due,
        "amount_paid": standing.amount_paid,
        "amount_remaining": standing.amount_remaining,
        "attempts": standing.attempts,
        "created_at": standing.created_at,
        "due_at": standing.due_at,
        "paid_at": standing.paid_at,
        "overdue_from": overdue_from,
        "page_url": standing.page_url,
    }
    upsert(transaction, provider_invoice, [row])


def mark_standing_paid(transaction: Transaction, invoice_id: str, *, paid_at: datetime) -> None:
    """Keep that an invoice was paid, before the provider's event says so."""
    columns = provider_invoice.c
    transaction.execute(
        update(provider_invoice)
        .where(columns.invoice_id == invoice_id, columns.status != InvoiceStatus.PAID.value)
        .values(
            status=InvoiceStatus.PAID.value,
            amount_paid=columns.amount_due,
            amount_remaining=0,
            overdue_from=None,
            paid_at=paid_at,
        )
    )


def keep_subscription_standing(
    transaction: Transaction,
    company: CompanyPlace,
    standing: SubscriptionStanding,
    *,
    subscription_id: str | None,
    overdue_from: datetime | None,
) -> None:
    """Keep how a subscription of a company stands; `subscription_id`: ours that it is, if it is one of ours."""
    row = {
        "provider_subscription_id": standing.provider_subscription_id,
        "application_id": company.application_id,
        "company_id": company.company_id,
        "subscription_id": subscription_id,
        "status": standing.status,
        "overdue_from": overdue_from,
        "cancel_at": standing.cancel_at,
        "ended_at": standing.ended_at,
    }
    upsert(transaction, provider_subscription, [row])


def read_subscription_end(transaction: Transaction, provider_subscription_id: str) -> datetime | None:
    """Return when a subscription ended or was to end, by what was last read of it, if it ever was."""
    columns = provider_subscription.c
    statement = select(columns.cancel_at, columns.ended_at).where(
        columns.provider_subscription_id == provider_subscription_id
    )
    row = transaction.execute(statement).first()
    return None if row is None else row.ended_at or row.cancel_at


def read_payments(transaction: Transaction, invoice_ids: Sequence[str]) -> dict[str, InvoicePayment]:
    """Return what the provider last said of invoices, by their ids."""
    columns = provider_invoice.c
    found = {}
    for some in chunks(invoice_ids):
        for row in transaction.execute(select(provider_invoice).where(columns.invoice_id.in_(some))):
            found[row.invoice_id] = InvoicePayment(
                amount_paid=row.amount_paid,
                amount_remaining=row.amount_remaining,
                attempts=row.attempts,
                overdue_from=row.overdue_from,
                page_url=row.page_url,
            )
    return found


def read_end(transaction: Transaction, invoice_id: str) -> tuple[InvoiceStatus, datetime | None] | None:
    """Return how an invoice stands and when it was paid, where the provider said that it is open no more."""
    columns = provider_invoice.c
    statement = select(columns.status, columns.paid_at).where(
        columns.invoice_id == invoice_id, columns.status.not_in([DRAFT, InvoiceStatus.OPEN.value])
    )
    row = transaction.execute(statement).first()
    return None if row is None else (InvoiceStatus(row.status), row.paid_at)


def overdue_companies(
    transaction: Transaction, application_id: str, *, now: datetime, company_ids: Collection[str] | None = None
) -> set[str]:
    """Return the companies, of some or of all, that owe money too long at the business time `now`.

    By what the provider said of their invoices and subscriptions; by our copy where it said nothing of an invoice yet.
    """
    said = select(provider_invoice.c.invoice_id).where(provider_invoice.c.invoice_id == invoice.c.invoice_id)
    ours = select(invoice.c.company_id).where(
        invoice.c.application_id == application_id,
        invoice.c.status == InvoiceStatus.OPEN.value,
        invoice.c.amount_due > 0,
        invoice.c.due_at <= now,
        ~said.exists(),
    )
    theirs = [
        select(table.c.company_id).where(table.c.application_id == application_id, table.c.overdue_from <= now)
        for table in (provider_invoice, provider_subscription)
    ]
    found: set[str] = set()
    for statement in (ours, *theirs):
        of = [] if company_ids is None else [statement.selected_columns.company_id.in_(company_ids)]
        found.update(transaction.execute(statement.where(*of).distinct()).scalars())
    return found


def _status_kept(transaction: Transaction, invoice_id: str) -> str | None:
    columns = provider_invoice.c
    return transaction.execute(select(columns.status).where(columns.invoice_id == invoice_id)).scalar()
