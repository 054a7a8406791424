"""An invoice as the billing provider issued it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from faregate.base.money import minor_to_ledger_units, to_ledger_units
from faregate.base.periods import Period
from faregate.domain.catalog.price import Price
from faregate.domain.pricing.breakdown import LinePart
from faregate.domain.pricing.rating import DimensionKey, Totals, debit_total, line_amount, rate_period

RatedTotals = tuple[tuple[DimensionKey, Decimal], ...]
"""What was rated for a line, by dimension: units, or money where the price is a percentage."""


class InvoiceStatus(StrEnum):
    """`open` waits for payment; `paid` is settled, by credit or by money.

    The provider may also say that nobody owes it any more (`void`), or that nobody will pay it (`uncollectible`).
    """

    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One price's total in the period and its amount in minor units; `parts` say what the amount is made of.

    `totals` is what it was rated from, so that it stays explained when the period's totals move later. `adjusts`: the
    line says by how much an earlier period's amount has changed since its invoice, which begins there;
    `adjusted_invoice_id` is that invoice, if there was one.
    """

    price_id: str
    description: str
    quantity: Decimal
    amount: int
    parts: tuple[LinePart, ...] = ()
    adjusts: datetime | None = None
    adjusted_invoice_id: str | None = None
    totals: RatedTotals = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDiscount:
    """What a coupon took off the invoice, in minor units; `redemption_id` names its giving."""

    redemption_id: str
    coupon_id: str
    name: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePayment:
    """What the provider last said of an invoice's payment, in minor units; `overdue_from`: billing/overdue.py."""

    amount_paid: int
    amount_remaining: int
    attempts: int
    overdue_from: datetime | None
    page_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """All amounts in minor units: `total` = lines - discounts = `credit_applied` + `amount_due`."""

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
    discounts: tuple[InvoiceDiscount, ...] = ()
    payment: InvoicePayment | None = None

    @property
    def subtotal(self) -> int:
        """Return the sum of the lines, before coupons."""
        return self.total + sum(discount.amount for discount in self.discounts)

    @property
    def amount_paid(self) -> int:
        """Return what was paid of what is due."""
        if self.payment is not None:
            return self.payment.amount_paid
        return self.amount_due if self.status is InvoiceStatus.PAID else 0


def is_overdue(invoice: Invoice, now: datetime) -> bool:
    """Return whether it is overdue by what the provider said, or, where it said nothing yet, by its due time."""
    if invoice.payment is not None:
        return invoice.payment.overdue_from is not None and invoice.payment.overdue_from <= now
    return invoice.status is InvoiceStatus.OPEN and invoice.amount_due > 0 and invoice.due_at <= now


def closing_entries(price: Price, totals: Totals) -> tuple[int, int]:
    """Return the two amounts of ledger units that, added to the period's debits, make them equal the invoice line.

    The first is what the period owes beyond its usage: a flat fee, or what usage lacks of a minimum or a commitment.
    The second is the line's rounding, at most half a minor unit.
    """
    debited = debit_total(price, totals)
    due = to_ledger_units(rate_period(price, totals), price.currency)
    return due - debited, minor_to_ledger_units(line_amount(price, totals), price.currency) - due
