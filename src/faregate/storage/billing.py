"""Our copies of invoices, as the billing provider issued them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Row, insert, select, update

from faregate.base.periods import Period
from faregate.domain.billing.invoice import Invoice, InvoiceDiscount, InvoiceLine, InvoicePayment, InvoiceStatus
from faregate.storage.database import Transaction
from faregate.storage.provider_standings import mark_standing_paid, read_end, read_payments
from faregate.storage.tables import invoice, invoice_discount
from faregate.storage.upsert import chunks


def insert_invoice(transaction: Transaction, application_id: str, issued: Invoice) -> None:
    """Keep an invoice, as the provider last said that it stands; a subscription has one for each period at most."""
    said = read_end(transaction, issued.invoice_id)
    status, paid_at = (issued.status, issued.paid_at) if said is None else said
    transaction.execute(
        insert(invoice).values(
            invoice_id=issued.invoice_id,
            application_id=application_id,
            subscription_id=issued.subscription_id,
            company_id=issued.company_id,
            number=issued.number,
            currency=issued.currency,
            period_start=issued.period.start,
            period_end=issued.period.end,
            lines=msgspec.json.encode(issued.lines).decode(),
            total=issued.total,
            credit_applied=issued.credit_applied,
            amount_due=issued.amount_due,
            status=status.value,
            issued_at=issued.issued_at,
            due_at=issued.due_at,
            paid_at=paid_at,
        )
    )
    if issued.discounts:
        transaction.execute(
            insert(invoice_discount),
            [
                {"invoice_id": issued.invoice_id, "place": place} | asdict(discount)
                for place, discount in enumerate(issued.discounts)
            ],
        )


def set_invoice_paid(transaction: Transaction, invoice_id: str, paid_at: datetime) -> None:
    """Record when an invoice was paid; a paid one stays as it is."""
    set_invoice_status(transaction, invoice_id, InvoiceStatus.PAID, paid_at=paid_at)
    mark_standing_paid(transaction, invoice_id, paid_at=paid_at)


def set_invoice_status(
    transaction: Transaction, invoice_id: str, status: InvoiceStatus, *, paid_at: datetime | None
) -> None:
    """Record how our copy of an invoice stands now, if there is one; a paid one stays as it is."""
    transaction.execute(
        update(invoice)
        .where(invoice.c.invoice_id == invoice_id, invoice.c.status != InvoiceStatus.PAID.value)
        .values(status=status.value, paid_at=paid_at)
    )


def find_invoice(transaction: Transaction, application_id: str, invoice_id: str) -> Invoice | None:
    """Return the invoice with the id."""
    found = _invoices(transaction, invoice.c.application_id == application_id, invoice.c.invoice_id == invoice_id)
    return next(iter(found), None)


def invoices_of_subscription(transaction: Transaction, subscription_id: str) -> list[Invoice]:
    """Return a subscription's invoices, oldest first."""
    return _invoices(transaction, invoice.c.subscription_id == subscription_id)


def list_invoice_rows(
    transaction: Transaction, application_id: str, *, company_id: str | None, after: str, limit: int
) -> list[Invoice]:
    """Return invoices, of one company or of all, in id order (oldest first), from the first one after `after`."""
    conditions = [invoice.c.application_id == application_id, invoice.c.invoice_id > after]
    if company_id is not None:
        conditions.append(invoice.c.company_id == company_id)
    return _invoices(transaction, *conditions, limit=limit)


def _invoices(transaction: Transaction, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Invoice]:
    statement = select(invoice).where(*conditions).order_by(invoice.c.invoice_id).limit(limit)
    rows = transaction.execute(statement).all()
    invoice_ids = [row.invoice_id for row in rows]
    discounts = _discounts(transaction, invoice_ids)
    payments = read_payments(transaction, invoice_ids)
    return [_invoice(row, discounts.get(row.invoice_id, ()), payments.get(row.invoice_id)) for row in rows]


def _discounts(transaction: Transaction, invoice_ids: Sequence[str]) -> dict[str, tuple[InvoiceDiscount, ...]]:
    columns = invoice_discount.c
    found: dict[str, tuple[InvoiceDiscount, ...]] = {}
    for some in chunks(invoice_ids):
        statement = select(invoice_discount).where(columns.invoice_id.in_(some)).order_by(columns.place)
        for row in transaction.execute(statement):
            discount = InvoiceDiscount(
                redemption_id=row.redemption_id, coupon_id=row.coupon_id, name=row.name, amount=row.amount
            )
            found[row.invoice_id] = (*found.get(row.invoice_id, ()), discount)
    return found


def _invoice(
    row: Row[tuple[object, ...]], discounts: tuple[InvoiceDiscount, ...], payment: InvoicePayment | None
) -> Invoice:
    return Invoice(
        invoice_id=row.invoice_id,
        number=row.number,
        subscription_id=row.subscription_id,
        company_id=row.company_id,
        currency=row.currency,
        period=Period(row.period_start, row.period_end),
        lines=msgspec.json.decode(row.lines, type=tuple[InvoiceLine, ...]),
        total=row.total,
        credit_applied=row.credit_applied,
        amount_due=row.amount_due,
        status=InvoiceStatus(row.status),
        issued_at=row.issued_at,
        due_at=row.due_at,
        paid_at=row.paid_at,
        discounts=discounts,
        payment=payment,
    )
