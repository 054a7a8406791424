"""An invoice at Stripe as we compare and keep it: our lines and amounts, before tax.

What Stripe shows more lines of, one for each tier, is one line of ours. Exclusive tax comes on top of all amounts here,
inclusive tax is within them: neither changes what is compared.
Source: https://docs.stripe.com/api/invoices/object
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final, cast

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.errors import Conflict
from faregate.base.periods import Period
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider import ProviderDiscount, ProviderInvoice, ProviderLine
from faregate.providers.stripe.client import asked
from faregate.providers.stripe.shapes import OUR_ID, every, from_page, from_seconds, metadata_of, our_id_of

if TYPE_CHECKING:
    from stripe import Invoice, InvoiceLineItem, ListObject, StripeClient
    from stripe.params import InvoiceLineItemListParams

CREDIT_LINE: Final = "faregate:credit"
"""Our id of the line that takes off what our ledger paid."""

QUANTITY: Final = "faregate_quantity"
CUSTOMER: Final = "faregate_customer"
PERIOD: Final = "faregate_period"
DISCOUNTS: Final = "faregate_discounts"
"""Names in the metadata of an invoice, and of its items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What we wrote on an invoice. `discounts`: minor units that each coupon takes off, in their order."""

    subscription: str
    customer: str
    period: Period
    discounts: tuple[ProviderDiscount, ...]

    def metadata(self) -> dict[str, str]:
        """Return them as metadata."""
        start, end = to_microseconds(self.period.start), to_microseconds(self.period.end)
        taken = " ".join(f"{discount.coupon}={discount.amount}" for discount in self.discounts)
        return {OUR_ID: self.subscription, CUSTOMER: self.customer, PERIOD: f"{start}-{end}", DISCOUNTS: taken}

    @classmethod
    def of(cls, invoice: Invoice) -> Marks:
        """Read them; `Conflict` on an invoice that has none."""
        written = metadata_of(invoice.metadata)
        if PERIOD not in written:
            raise Conflict("invoice", f"{invoice.id} was not made by Faregate")
        start, _, end = written[PERIOD].partition("-")
        pairs = [pair.rpartition("=") for pair in written.get(DISCOUNTS, "").split()]
        return cls(
            subscription=written[OUR_ID],
            customer=written[CUSTOMER],
            period=Period(from_microseconds(int(start)), from_microseconds(int(end))),
            discounts=tuple(ProviderDiscount(coupon=coupon, amount=int(amount)) for coupon, _, amount in pairs),
        )


def read_invoice(client: StripeClient, invoice: Invoice, prices: Mapping[str, str]) -> ProviderInvoice:
    """Return an invoice that is final. `prices`: our ids of Stripe's prices."""
    marks = Marks.of(invoice)
    found = lines_of(client, invoice)
    credit_lines = [line for line in found if our_id_of(line) == CREDIT_LINE]
    lines = _provider_lines([line for line in found if line not in credit_lines], prices)
    subtotal = sum(line.amount for line in lines)
    total = subtotal - sum(discount.amount for discount in marks.discounts)
    credit = granted_credit(invoice) - sum(line.amount for line in credit_lines)
    issued = invoice.status_transitions.finalized_at or invoice.created
    paid_at = invoice.status_transitions.paid_at
    return ProviderInvoice(
        id=invoice.id,
        number=invoice.number or invoice.id,
        subscription=marks.subscription,
        customer=marks.customer,
        currency=invoice.currency,
        period=marks.period,
        lines=tuple(lines),
        subtotal=subtotal,
        discounts=marks.discounts,
        total=total,
        credit_applied=credit,
        amount_due=total - credit,
        status=InvoiceStatus.PAID if invoice.status == "paid" else InvoiceStatus.OPEN,
        created=from_seconds(issued),
        due_date=from_seconds(invoice.due_date or issued),
        paid_at=None if paid_at is None else from_seconds(paid_at),
    )


def lines_of(client: StripeClient, invoice: Invoice) -> list[InvoiceLineItem]:
    """Return all lines of an invoice."""

    def listed(after: str | None) -> ListObject[InvoiceLineItem]:
        return client.v1.invoices.line_items.list(invoice.id, cast("InvoiceLineItemListParams", from_page(after)))

    return list(every(listed))


def granted_credit(invoice: Invoice) -> int:
    """Return what Stripe's credit grants paid of an invoice."""
    parts = invoice.total_pretax_credit_amounts or []
    return sum(part.amount for part in parts if part.type == "credit_balance_transaction")


def metered_amount(lines: list[InvoiceLineItem]) -> int:
    """Return what credit grants can pay of an invoice: its lines of usage, without what discounts take off them."""
    metered = [line for line in lines if _item_of(line) is None]
    return sum(line.amount - sum(part.amount for part in line.discount_amounts or []) for line in metered)


def retrieved(client: StripeClient, invoice_id: str) -> Invoice:
    """Return an invoice as it is now."""
    return asked(lambda: client.v1.invoices.retrieve(invoice_id))


def _provider_lines(found: list[InvoiceLineItem], prices: Mapping[str, str]) -> list[ProviderLine]:
    """Return a line for each of ours; Stripe's have one for each tier. Usage of nothing makes none."""
    lines: dict[str, ProviderLine] = {}
    for line in found:
        ours, quantity = _ours(line, prices)
        before = lines.get(ours)
        if before is not None:
            quantity += before.quantity
        amount = line.amount + (0 if before is None else before.amount)
        if quantity or amount or _item_of(line) is not None:
            lines[ours] = ProviderLine(
                price=ours,
                description=(before.description if before is not None else line.description) or ours,
                quantity=quantity,
                amount=amount,
            )
    return list(lines.values())


def _ours(line: InvoiceLineItem, prices: Mapping[str, str]) -> tuple[str, Decimal]:
    metadata = metadata_of(line.metadata)
    if _item_of(line) is not None:
        return metadata.get(OUR_ID, line.id), Decimal(metadata.get(QUANTITY, "1"))
    details = None if line.pricing is None else line.pricing.price_details
    price = None if details is None else details.price if isinstance(details.price, str) else details.price.id
    return prices.get(price or "", price or line.id), Decimal(line.quantity or 0)


def _item_of(line: InvoiceLineItem) -> str | None:
    """Return the invoice item that a line is of; a line of usage is of none."""
    details = None if line.parent is None else line.parent.invoice_item_details
    return None if details is None else details.invoice_item
