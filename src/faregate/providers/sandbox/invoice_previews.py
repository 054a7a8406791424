"""What a customer's next invoice will be (docs.stripe.com/api/invoices/create_preview); nothing is kept of it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from stripe.params._invoice_create_preview_params import InvoiceCreatePreviewParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, refuse_others
from faregate.providers.sandbox.coupons import discount, is_running
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Json, StripeFault, refused
from faregate.providers.sandbox.invoice_items import item_body, pending_items
from faregate.providers.sandbox.invoice_lines import sources_of
from faregate.providers.sandbox.invoices import blank_invoice, subscription_fields, with_lines
from faregate.providers.sandbox.subscription_course import period_of, rolled
from faregate.providers.sandbox.times import in_time_of

_KNOWN: Final = frozenset({"automatic_tax", "currency", "customer", "invoice_items", "subscription"})
_OF_ITEM: Final = frozenset(
    {"amount", "currency", "description", "discountable", "metadata", "period", "price", "quantity", "tax_rates"}
)
_ENDED: Final = frozenset({"canceled", "incomplete", "incomplete_expired"})


def preview_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Return the invoice that a subscription's period, or a customer's pending items, would make now."""
    sent = asked.parameters
    refuse_others(sent, _KNOWN, "a preview")
    if "subscription" in sent:
        subscription = sandbox.store.get("subscription", sent["subscription"], param="subscription")
        if sent.get("customer", subscription["customer"]) != subscription["customer"]:
            raise refused("The subscription is another customer's.", param="subscription")
        return _of_subscription(sandbox, subscription, sent)
    if "customer" not in sent:
        raise refused("Set `customer` or `subscription`.", param="customer", code="parameter_missing")
    customer = live_customer(sandbox, sent["customer"])
    code = (sent.get("currency") or customer["currency"] or "usd").lower()
    sandbox = in_time_of(sandbox, customer)
    invoice = _blank(sandbox, customer, {}, sent=sent, currency=code)
    return _drawn_up(sandbox, customer, invoice, sent=sent, subscription=None)


def _of_subscription(sandbox: Sandbox, subscription: Json, sent: Json) -> Json:
    customer = live_customer(sandbox, subscription["customer"])
    if subscription["status"] in _ENDED:
        raise _nothing(customer)
    sandbox = in_time_of(sandbox, customer)
    start, end = period_of(subscription)
    is_last = subscription["cancel_at"] is not None and subscription["cancel_at"] <= end
    end = subscription["cancel_at"] if is_last else end
    after = subscription if is_last else rolled(subscription | {"status": "active"}, end)
    found = [discount(sandbox, each) for each in subscription["discounts"]]
    running = [each for each in found if is_running(each, end)]
    fields = subscription_fields(sandbox, subscription, discounts=running) | {
        "period_end": end,
        "period_start": start,
        "_sources": sources_of(after, start=start, end=end, is_metered=True, is_licensed=not is_last),
    }
    invoice = _blank(sandbox, customer, fields, sent=sent, currency=subscription["currency"])
    return _drawn_up(sandbox, customer, invoice, sent=sent, subscription=subscription["id"])


def _blank(sandbox: Sandbox, customer: Json, fields: Json, *, sent: Json, currency: str) -> Json:
    own = {"id": sandbox.new_id("upcoming_in"), "auto_advance": False, "billing_reason": "upcoming"}
    if "automatic_tax" in sent:
        own["automatic_tax"] = sent["automatic_tax"]
    at = fields.get("period_end", sandbox.now())
    return blank_invoice(customer, fields | own, currency=currency, at=at) | {"next_payment_attempt": at}


def _drawn_up(sandbox: Sandbox, customer: Json, invoice: Json, *, sent: Json, subscription: str | None) -> Json:
    items = pending_items(sandbox, invoice, subscription=subscription)
    for place, item in enumerate(sent.get("invoice_items", [])):
        refuse_others(item, _OF_ITEM, f"a preview's invoice_items[{place}]")
        said = {name: value for name, value in item.items() if name != "price"}
        if "price" in item:
            said["pricing"] = {"price": item["price"]}
        items.append(item_body(sandbox, customer, said, invoice=invoice))
    if not items and subscription is None:
        raise _nothing(customer)
    return with_lines(sandbox, invoice, items)


def _nothing(customer: Json) -> StripeFault:
    message = f"No upcoming invoices for customer: {customer['id']}"
    return StripeFault(message, status=HTTPStatus.NOT_FOUND, code="invoice_upcoming_none")


ROUTES = [
    Route(
        method="POST",
        path="/v1/invoices/create_preview",
        parameters=InvoiceCreatePreviewParams,
        answer=preview_invoice,
    ),
]
