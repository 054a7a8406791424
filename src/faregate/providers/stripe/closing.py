"""The close of a period: Stripe's draft made complete, finalized, and read back. Each step may be made again.

    find the period's draft, or make one where Stripe has no such period
    -> mark it as ours -> our own lines -> coupons -> credit -> finalize -> read

What is on the invoice already is found by our ids in metadata. A draft that is not there yet is `Unavailable`: Stripe
makes it within minutes of the border.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from faregate.base.errors import Unavailable
from faregate.base.periods import Period
from faregate.domain.billing.provider import (
    ProviderCoupon,
    ProviderDiscount,
    ProviderInvoice,
    ProviderSubscription,
    RatedLine,
)
from faregate.domain.billing.provider_links import LinkKind, ProviderLinks, price_link_id
from faregate.domain.customers.prepaid_billing import PrepaidBilling
from faregate.providers.stripe.client import asked, created
from faregate.providers.stripe.credit import metered_credit, take_back
from faregate.providers.stripe.invoice_reading import (
    CREDIT_LINE,
    PERIOD,
    QUANTITY,
    Marks,
    lines_of,
    metered_amount,
    read_invoice,
    retrieved,
)
from faregate.providers.stripe.shapes import OUR_ID, every, from_page, key_of, metadata_of, our_id_of, to_seconds
from faregate.providers.stripe.subscriptions import Standing, terms

if TYPE_CHECKING:
    from stripe import Invoice, InvoiceItem, ListObject, StripeClient
    from stripe.params import (
        CouponCreateParams,
        InvoiceCreateParams,
        InvoiceItemCreateParams,
        InvoiceItemListParams,
        InvoiceListParams,
        InvoiceUpdateParams,
    )

_TAKEN_BACK: Final = "faregate_taken_back"
_CREDIT_SAID: Final = "Prepaid credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """What a close is told: lines that are ours, those that Stripe rates as we do, coupons, and credit that pays."""

    subscription: ProviderSubscription
    period: Period
    rated: tuple[RatedLine, ...]
    metered: tuple[RatedLine, ...]
    coupons: tuple[ProviderCoupon, ...]
    credit: int

    @property
    def marks(self) -> Marks:
        """Return what is written on the invoice."""
        return Marks(
            subscription=self.subscription.lookup_key,
            customer=self.subscription.customer,
            period=self.period,
            discounts=tuple(
                ProviderDiscount(coupon=coupon.lookup_key, amount=coupon.amount) for coupon in self.coupons
            ),
        )

    @property
    def key(self) -> str:
        """Return what tells the invoice apart from all others."""
        return f"{self.subscription.lookup_key}:{self.marks.metadata()[PERIOD]}"


def close_period(
    client: StripeClient, closing: Closing, links: ProviderLinks, *, customer: str, standing: Standing | None
) -> ProviderInvoice:
    """Finalize the invoice of a period; return the same one for every repeat."""
    has_cycle = standing is not None and standing.starts_before(closing.period.end)
    invoice = _find(client, closing, customer=customer)
    if invoice is None and standing is not None and has_cycle:
        invoice = _cycle_draft(client, closing, standing)
    if invoice is None:
        invoice = _make(client, closing, customer=customer)
    if invoice.status == "draft":
        ours = closing.rated if has_cycle else (*closing.rated, *closing.metered)
        invoice = _complete(client, closing, invoice, ours=ours)
    return read_invoice(client, invoice, _our_prices(closing, links))


def _our_prices(closing: Closing, links: ProviderLinks) -> dict[str, str]:
    code = closing.subscription.currency
    found = {}
    for price in closing.subscription.prices:
        theirs = links.find(LinkKind.PRICE, price_link_id(price.lookup_key, code))
        if theirs is not None:
            found[theirs] = price.lookup_key
    return found


def _find(client: StripeClient, closing: Closing, *, customer: str) -> Invoice | None:
    """Return the invoice that is marked as this period's."""
    wanted = closing.marks.metadata()
    for invoice in _invoices(client, {"customer": customer, "created": {"gte": to_seconds(closing.period.end)}}):
        written = metadata_of(invoice.metadata)
        if (written.get(OUR_ID), written.get(PERIOD)) == (wanted[OUR_ID], wanted[PERIOD]):
            return invoice
    return None


def _cycle_draft(client: StripeClient, closing: Closing, standing: Standing) -> Invoice:
    """Return the draft that Stripe made of the period, marked as ours; older ones, of nothing, are finalized."""
    end = to_seconds(closing.period.end)
    for invoice in _invoices(client, {"subscription": standing.id, "status": "draft"}):
        if invoice.period_end == end:
            changes = cast("InvoiceUpdateParams", {"metadata": closing.marks.metadata(), "auto_advance": False})
            return asked(lambda: client.v1.invoices.update(invoice.id, changes))  # noqa: B023 - called at once
        if invoice.period_end < end and invoice.total == 0:
            asked(lambda: client.v1.invoices.finalize_invoice(invoice.id))  # noqa: B023 - called at once
    raise Unavailable(f"Stripe has no draft yet of the period that ended {closing.period.end.isoformat()}")


def _make(client: StripeClient, closing: Closing, *, customer: str) -> Invoice:
    """Return a draft of its own, for a period that Stripe does not have."""
    sent: dict[str, Any] = {
        "customer": customer,
        "currency": closing.subscription.currency.lower(),
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "metadata": closing.marks.metadata(),
        **terms(closing.subscription),
    }
    return created(
        lambda key: client.v1.invoices.create(cast("InvoiceCreateParams", sent), {"idempotency_key": key}),
        key=key_of("invoice", closing.key, sent),
        find=lambda: _find(client, closing, customer=customer),
    )


def _complete(client: StripeClient, closing: Closing, invoice: Invoice, *, ours: tuple[RatedLine, ...]) -> Invoice:
    """Put on a draft what is ours, and finalize it."""
    standing = {our_id_of(item): item for item in _items(client, invoice)}
    for line in ours:
        if line.price not in standing:
            metadata = {OUR_ID: line.price, QUANTITY: f"{line.quantity:f}"}
            _add_item(client, invoice, line.amount, description=line.description, metadata=metadata)
    _discount(client, closing, invoice)
    _pay_with_credit(client, closing, invoice, standing=standing.get(CREDIT_LINE))
    return asked(lambda: client.v1.invoices.finalize_invoice(invoice.id, {"auto_advance": True}))


def _discount(client: StripeClient, closing: Closing, invoice: Invoice) -> None:
    """Take coupons off, each as the amount that it comes to: Stripe's own percent would be rounded line by line."""
    coupons = []
    for coupon in closing.coupons:
        if coupon.amount > 0:
            sent: dict[str, Any] = {
                "amount_off": coupon.amount,
                "currency": closing.subscription.currency.lower(),
                "duration": "once",
                "name": coupon.name[:40],
                "metadata": {OUR_ID: f"{coupon.lookup_key}:{invoice.id}"},
            }
            coupons.append(_coupon(client, sent, key_of("coupon", f"{coupon.lookup_key}:{invoice.id}", sent)))
    if coupons:
        changes = cast("InvoiceUpdateParams", {"discounts": [{"coupon": coupon} for coupon in coupons]})
        asked(lambda: client.v1.invoices.update(invoice.id, changes))


def _coupon(client: StripeClient, sent: dict[str, Any], key: str) -> str:
    made = created(
        lambda key: client.v1.coupons.create(cast("CouponCreateParams", sent), {"idempotency_key": key}),
        key=key,
        find=lambda: None,
    )
    return made.id


def _pay_with_credit(client: StripeClient, closing: Closing, invoice: Invoice, *, standing: InvoiceItem | None) -> None:
    """Let an invoice be paid by as much credit as by our ledger: grants pay what they can, a line takes off the rest.

    What the line pays is no longer credit at Stripe either.
    """
    customer, key, code = str(invoice.customer), f"invoice:{invoice.id}", invoice.currency
    if standing is None:
        granted = available = 0
        if closing.subscription.prepaid_billing is PrepaidBilling.MIRROR:
            available = metered_credit(client, customer, code)
            now = retrieved(client, invoice.id)
            granted = min(available, max(0, metered_amount(lines_of(client, now))))
        rest = closing.credit - granted
        if closing.credit == 0 or rest == 0 or (rest < 0 < closing.credit):
            return
        taken = max(0, min(rest, available - granted))
        metadata = {OUR_ID: CREDIT_LINE, _TAKEN_BACK: str(taken)}
        _add_item(client, invoice, -rest, description=_CREDIT_SAID, metadata=metadata)
    else:
        taken = int(metadata_of(standing.metadata)[_TAKEN_BACK])
    if taken:
        take_back(client, customer, taken, currency=code, key=key)


def _add_item(
    client: StripeClient, invoice: Invoice, amount: int, *, description: str, metadata: dict[str, str]
) -> None:
    sent: dict[str, Any] = {
        "customer": str(invoice.customer),
        "invoice": invoice.id,
        "currency": invoice.currency,
        "amount": amount,
        "description": description,
        "discountable": amount > 0,
        "metadata": metadata,
    }

    def find() -> InvoiceItem | None:
        return next((item for item in _items(client, invoice) if our_id_of(item) == metadata[OUR_ID]), None)

    created(
        lambda key: client.v1.invoice_items.create(cast("InvoiceItemCreateParams", sent), {"idempotency_key": key}),
        key=key_of("line", f"{invoice.id}:{metadata[OUR_ID]}", sent),
        find=find,
    )


def _items(client: StripeClient, invoice: Invoice) -> list[InvoiceItem]:
    def listed(after: str | None) -> ListObject[InvoiceItem]:
        wanted = cast("InvoiceItemListParams", {"invoice": invoice.id, **from_page(after)})
        return client.v1.invoice_items.list(wanted)

    return list(every(listed))


def _invoices(client: StripeClient, wanted: dict[str, Any]) -> list[Invoice]:
    def listed(after: str | None) -> ListObject[Invoice]:
        return client.v1.invoices.list(cast("InvoiceListParams", {**wanted, **from_page(after)}))

    return list(every(listed))
