"""An invoice as the billing provider issued it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from faregate.base.money import minor_to_ledger_units
from faregate.base.periods import Period
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.rating import Totals, debit_total, line_amount


class InvoiceStatus(StrEnum):
    """`open` waits for payment; `paid` is settled, by credit or by money."""

    OPEN = "open"
    PAID = "paid"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One price's total in the period and its amount in minor units."""

    price_id: str
    description: str
    quantity: Decimal
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """All amounts in minor units: `total` = sum of lines = `credit_applied` + `amount_due`."""

    invoice_id: str
    number: str
    subscription_id: str
    company_id: str
    currency: str
    period: Period
    lines: tuple[InvoiceLine, ...]
    total: int
    credit_applied: int
    amount_due: int
    status: InvoiceStatus
    issued_at: datetime
    due_at: datetime
    paid_at: datetime | None


def is_overdue(invoice: Invoice, now: datetime) -> bool:
    """Return whether the invoice is open, something is due, and its due time has passed."""
    return invoice.status is InvoiceStatus.OPEN and invoice.amount_due > 0 and invoice.due_at <= now


def closing_entry(price: Price, totals: Totals) -> int:
    """Return the ledger units that, added to the period's debits, make them equal the invoice line.

    It is what usage lacks of a flat fee, a minimum or a commitment, and the line's rounding.
    """
    return minor_to_ledger_units(line_amount(price, totals), price.currency) - debit_total(price, totals)
