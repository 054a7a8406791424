"""Invoices, the clock, the application and tokens on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.money import Currency, currency, from_minor_units
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.domain.billing.invoice import Invoice, InvoiceDiscount, InvoiceLine, InvoiceStatus, is_overdue
from faregate.domain.pricing.breakdown import LinePart, PartKind
from faregate.wire.api.common import DecimalText, Instant, Name, plain


class LinePartView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a line: usage of one dimension or tier, or an adjustment; `tier` counts from 1."""

    kind: PartKind
    amount: DecimalText
    dimension: list[str] = []
    quantity: DecimalText | None = None
    tier: int | None = None


class InvoiceLineView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One price's total in the period, and what it came to; the amounts of `parts` add up to it.

    An adjustment says by how much the amount of an earlier period has changed since its invoice: `adjusts_period` is
    where that period began, `adjusted_invoice_id` its invoice, if it had one. Below zero it gives something back.
    """

    price_id: str
    description: str
    quantity: DecimalText
    amount: DecimalText
    parts: list[LinePartView] = []
    adjusts_period: Instant | None = None
    adjusted_invoice_id: str | None = None


class AdjustmentView(Struct, frozen=True, kw_only=True):
    """Why the amount of a period changed after its invoice, and by how much; above zero, the customer owes more.

    `billed_in_period`: where the period began on whose invoice it is a line; null while it waits for one. `source_id`
    names the source: places in the event log, a correction, a re-rating, an incident credit.
    """

    adjustment_id: int
    subscription_id: str
    company_id: str
    price_id: str
    period_start: Instant
    source: AdjustmentSource
    source_id: str
    quantity: DecimalText
    amount: DecimalText
    currency: str
    created_at: Instant
    billed_in_period: Instant | None


class InvoiceDiscountView(Struct, frozen=True, kw_only=True):
    """What a coupon took off what the earlier ones left."""

    coupon_id: str
    name: str
    redemption_id: str
    amount: DecimalText


class InvoiceView(Struct, frozen=True, kw_only=True):
    """An invoice: `subtotal`, the sum of lines, less `discounts` is `total` = `credit_applied` + `amount_due`.

    What was paid of it, what remains, how often an automatic payment was tried, and the page where it can be paid are
    as the billing provider last said.
    """

    invoice_id: str
    number: str
    subscription_id: str
    company_id: str
    currency: str
    period_start: Instant
    period_end: Instant
    lines: list[InvoiceLineView]
    subtotal: DecimalText
    discounts: list[InvoiceDiscountView]
    total: DecimalText
    credit_applied: DecimalText
    amount_due: DecimalText
    status: InvoiceStatus
    overdue: bool
    issued_at: Instant
    due_at: Instant
    paid_at: Instant | None
    amount_paid: DecimalText
    amount_remaining: DecimalText
    payment_attempts: int
    page_url: str | None


class UnitsInLeasesView(Struct, frozen=True, kw_only=True):
    """Units of a price that gateways hold for running calls: not used yet, and not on the invoice."""

    price_id: str
    units: int


class UpcomingInvoiceView(Struct, frozen=True, kw_only=True):
    """An invoice as its period's close would make it now.

    `closed`: the period is over and the lines are final; its invoice is on its way. What may still change it:
    `open_windows`, whose usage the billing provider has not been told of; `units_in_leases`, and `events_to_apply`,
    accepted events (of anybody) that are not metered yet.
    """

    subscription_id: str
    company_id: str
    currency: str
    period_start: Instant
    period_end: Instant
    closes_at: Instant
    closed: bool
    lines: list[InvoiceLineView]
    subtotal: DecimalText
    discounts: list[InvoiceDiscountView]
    total: DecimalText
    credit_applied: DecimalText
    amount_due: DecimalText
    open_windows: int
    units_in_leases: list[UnitsInLeasesView]
    events_to_apply: int


class ClockView(Struct, frozen=True, kw_only=True):
    """The application's business time, and how far it runs ahead of the wall clock."""

    now: Instant
    ahead_by_seconds: DecimalText


class ClockAdvance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to move business time forward: to an instant, or by seconds. One of the two."""

    to: Instant | UnsetType = UNSET
    by_seconds: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class ApplicationView(Struct, frozen=True, kw_only=True):
    """The application that the token gives access to."""

    application_id: str
    name: str
    created_at: Instant


class TokenCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to make for programs; the name says whose it is."""

    name: Name


class NewTokenView(Struct, frozen=True, kw_only=True):
    """A new API token. `token` is shown here and never again."""

    token_id: str
    token: str
    name: str
    created_at: Instant


def invoice_view(invoice: Invoice, now: datetime) -> InvoiceView:
    """Return an invoice as it travels; whether it is overdue is told at the business time `now`."""
    unit = currency(invoice.currency)
    payment = invoice.payment

    def major(minor_units: int) -> str:
        amount: Decimal = from_minor_units(minor_units, unit)
        return plain(amount)

    return InvoiceView(
        invoice_id=invoice.invoice_id,
        number=invoice.number,
        subscription_id=invoice.subscription_id,
        company_id=invoice.company_id,
        currency=invoice.currency,
        period_start=invoice.period.start,
        period_end=invoice.period.end,
        lines=[invoice_line_view(line, unit) for line in invoice.lines],
        subtotal=major(invoice.subtotal),
        discounts=discount_views(invoice.discounts, unit),
        total=major(invoice.total),
        credit_applied=major(invoice.credit_applied),
        amount_due=major(invoice.amount_due),
        status=invoice.status,
        overdue=is_overdue(invoice, now),
        issued_at=invoice.issued_at,
        due_at=invoice.due_at,
        paid_at=invoice.paid_at,
        amount_paid=major(invoice.amount_paid),
        amount_remaining=major(
            invoice.amount_due - invoice.amount_paid if payment is None else payment.amount_remaining
        ),
        payment_attempts=0 if payment is None else payment.attempts,
        page_url=None if payment is None else payment.page_url,
    )


def invoice_line_view(line: InvoiceLine, unit: Currency) -> InvoiceLineView:
    """Return a line as it travels."""
    return InvoiceLineView(
        price_id=line.price_id,
        description=line.description,
        quantity=plain(line.quantity),
        amount=plain(from_minor_units(line.amount, unit)),
        parts=[_part_view(part) for part in line.parts],
        adjusts_period=line.adjusts,
        adjusted_invoice_id=line.adjusted_invoice_id,
    )


def discount_views(discounts: Iterable[InvoiceDiscount], unit: Currency) -> list[InvoiceDiscountView]:
    """Return what coupons took off as it travels."""
    return [
        InvoiceDiscountView(
            coupon_id=discount.coupon_id,
            name=discount.name,
            redemption_id=discount.redemption_id,
            amount=plain(from_minor_units(discount.amount, unit)),
        )
        for discount in discounts
    ]


def _part_view(part: LinePart) -> LinePartView:
    return LinePartView(
        kind=part.kind,
        amount=plain(part.amount),
        dimension=list(part.dimension),
        quantity=None if part.quantity is None else plain(part.quantity),
        tier=part.tier,
    )
