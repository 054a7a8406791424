"""Invoices and their states: draft -> open -> paid | void | uncollectible (docs.stripe.com/invoicing/overview).

A draft's amounts follow what it is for; finalizing fixes them, gives the number, and takes what the customer's balance
has. What the requests of `/v1/invoices` say is in `invoice_requests.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.coupons import coupon_of, redeem
from faregate.providers.sandbox.credit_balance import apply_credit, give_back
from faregate.providers.sandbox.customer_balance import move_balance
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.invoice_items import items_on, take_pending
from faregate.providers.sandbox.invoice_lines import lines_of, sources_of
from faregate.providers.sandbox.invoice_totals import discount_lines, due, totals
from faregate.providers.sandbox.subscription_states import invoice_moved, subscription_of
from faregate.providers.sandbox.times import plan

ADVANCE: Final = "invoice.advance"
RETRY: Final = "invoice.retry"
"""Works of `due`: what is done with an invoice when its time comes (`invoice_payments.py`)."""

FINALIZED_AFTER_S: Final = 3_600
"""How long a draft that advances by itself stays one."""

_LEAST_CHARGE: Final = {
    "aud": 50, "brl": 50, "cad": 50, "chf": 50, "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "inr": 50, "jpy": 50,
    "mxn": 1000, "nok": 300, "nzd": 50, "pln": 200, "sek": 300, "sgd": 50, "usd": 50,
}  # fmt: skip
"""The least that is charged, by currency (docs.stripe.com/currencies): less goes to the customer's balance."""

_DAY_S: Final = 86_400


def open_invoice(  # noqa: PLR0913 - what an invoice of a subscription is of
    sandbox: Sandbox,
    subscription: Json,
    *,
    period_start: int,
    period_end: int,
    reason: str,
    at: int,
    discounts: Sequence[Json] = (),
    is_metered: bool = True,
    is_licensed: bool = True,
) -> Json:
    """Open the draft of a subscription: its usage in [period_start, period_end), its licensed items' coming period.

    The licensed items' period is the one that stands on them. `reason`: a `billing_reason`; `discounts`: discount
    objects, in their order. Customer's pending items of this subscription, and of none, are taken along.
    """
    sandbox = sandbox.at(at)
    customer = sandbox.store.get("customer", subscription["customer"])
    fields = subscription_fields(sandbox, subscription, discounts=discounts) | {
        "auto_advance": True,
        "billing_reason": reason,
        "period_end": period_end,
        "period_start": period_start,
        "_sources": sources_of(
            subscription, start=period_start, end=period_end, is_metered=is_metered, is_licensed=is_licensed
        ),
    }
    invoice = new_invoice(sandbox, customer, fields, currency=subscription["currency"])
    take_pending(sandbox, invoice, subscription=subscription["id"])
    invoice = refreshed(sandbox, invoice)
    sandbox.tell("invoice.created", invoice)
    return invoice


def subscription_fields(sandbox: Sandbox, subscription: Json, *, discounts: Sequence[Json]) -> Json:
    """Return the fields of an invoice that are its subscription's."""
    return {
        "automatic_tax": subscription.get("automatic_tax") or {"enabled": False},
        "collection_method": subscription["collection_method"],
        "days_until_due": subscription.get("days_until_due"),
        "default_payment_method": subscription.get("default_payment_method"),
        "default_tax_rates": subscription.get("default_tax_rates") or [],
        "description": subscription.get("description"),
        "parent": {
            "quote_details": None,
            "subscription_details": {
                "metadata": subscription.get("metadata") or {},
                "subscription": subscription["id"],
                "subscription_proration_date": None,
            },
            "type": "subscription_details",
        },
        "_discounts": [_kept_discount(sandbox, each) for each in discounts],
    }


def new_invoice(sandbox: Sandbox, customer: Json, fields: Json, *, currency: str) -> Json:
    """Keep a new draft, without lines; `fields`: what is not as on every new one."""
    body = blank_invoice(customer, {"id": sandbox.new_id("in")} | fields, currency=currency, at=sandbox.now())
    sandbox.store.add(body, customer=customer["id"], subscription=subscription_of(body))
    plan(sandbox, ADVANCE, body, at=body["automatically_finalizes_at"])
    return body


def refreshed(sandbox: Sandbox, invoice: Json) -> Json:
    """Return an invoice; a draft's lines and sums as they are now, and kept so."""
    if invoice["status"] != "draft":
        return invoice
    customer = sandbox.store.get("customer", invoice["customer"])
    invoice = with_lines(sandbox, invoice | {"starting_balance": customer["balance"]}, items_on(sandbox, invoice))
    sandbox.store.put(invoice)
    return invoice


def with_lines(sandbox: Sandbox, invoice: Json, items: list[Json]) -> Json:
    """Return a draft with the lines and sums that it has now, of these invoice items and its subscription."""
    lines = lines_of(sandbox, invoice, items)
    discount_lines(invoice, lines)
    return invoice | totals(sandbox, invoice, lines)


def finalize(sandbox: Sandbox, invoice: Json, at: int) -> Json:
    """Make a draft an open invoice, with its number; one of which nothing is due is paid. Returns it."""
    sandbox = sandbox.at(at)
    invoice = refreshed(sandbox, invoice)
    customer = sandbox.store.get("customer", invoice["customer"])
    lines = invoice["lines"]["data"]
    apply_credit(sandbox, invoice, lines)
    invoice |= totals(sandbox, invoice, lines)
    sequence = customer.get("next_invoice_sequence", 1)
    prefix = customer.get("invoice_prefix") or customer["id"][-8:].upper()
    customer |= {"next_invoice_sequence": sequence + 1, "currency": customer["currency"] or invoice["currency"]}
    sandbox.store.put(customer)
    is_sent = invoice["collection_method"] == "send_invoice"
    invoice |= {
        "automatically_finalizes_at": None,
        "due_date": (invoice["due_date"] or at + (invoice["_days_until_due"] or 0) * _DAY_S) if is_sent else None,
        "effective_at": invoice["effective_at"] or at,
        "hosted_invoice_url": f"{sandbox.pages_url}/invoices/{invoice['id']}",
        "next_payment_attempt": None if is_sent or not invoice["auto_advance"] else at,
        "number": invoice["number"] or f"{prefix}-{sequence:04}",
        "status": "open",
        "status_transitions": invoice["status_transitions"] | {"finalized_at": at},
    }
    invoice = _take_balance(sandbox, invoice, customer)
    sandbox.store.put(invoice)
    plan(sandbox, ADVANCE, invoice, at=None)
    sandbox.tell("invoice.finalized", invoice, {"status": "draft"})
    if invoice["amount_due"] == 0:
        return settle(sandbox, invoice | {"attempted": True}, at, amount=0)
    return invoice


def _take_balance(sandbox: Sandbox, invoice: Json, customer: Json) -> Json:
    """Move what an invoice takes from the customer's balance, or leaves to it; sets what is due."""
    total, starting = invoice["total"], customer["balance"]
    fields = due(invoice | {"starting_balance": starting}, total)
    due_now = fields["amount_due"]
    kind = "applied_to_invoice"
    least = _LEAST_CHARGE.get(invoice["currency"], 0)
    if 0 < due_now < least and invoice["collection_method"] == "charge_automatically":
        due_now, kind = 0, "invoice_too_small"
    moved = total - due_now
    if moved:
        move_balance(sandbox, customer, moved, currency=invoice["currency"], kind=kind, invoice=invoice["id"])
    return invoice | {
        "amount_due": due_now,
        "amount_remaining": due_now,
        "starting_balance": starting,
        "ending_balance": starting + moved,
    }


def settle(sandbox: Sandbox, invoice: Json, at: int, *, amount: int, is_out_of_band: bool = False) -> Json:
    """Make an invoice paid by what was taken; returns it."""
    sandbox = sandbox.at(at)
    plan(sandbox, RETRY, invoice, at=None)
    paid = invoice["amount_paid"] + amount
    before = {name: invoice[name] for name in ("status", "amount_paid", "amount_remaining")}
    invoice = invoice | {
        "amount_paid": paid,
        "amount_paid_off_stripe": amount if is_out_of_band else 0,
        "amount_remaining": 0,
        "next_payment_attempt": None,
        "status": "paid",
        "status_transitions": invoice["status_transitions"] | {"paid_at": at},
    }
    sandbox.store.put(invoice)
    for kind in ("invoice.updated", "invoice.paid", "invoice.payment_succeeded"):
        sandbox.tell(kind, invoice, before if kind == "invoice.updated" else None)
    invoice_moved(sandbox, invoice)
    return invoice


def moved_to(sandbox: Sandbox, invoice: Json, status: str, *, at: int) -> Json:
    """Make an invoice `void` or `uncollectible`; what it took of the customer's balance goes back if it is void."""
    stamp = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    kind = {"void": "invoice.voided", "uncollectible": "invoice.marked_uncollectible"}[status]
    sandbox = sandbox.at(at)
    plan(sandbox, RETRY, invoice, at=None)
    before = {"status": invoice["status"]}
    invoice = invoice | {
        "next_payment_attempt": None,
        "status": status,
        "status_transitions": invoice["status_transitions"] | {stamp: at},
    }
    if status == "uncollectible":
        invoice["status_details"] = {"uncollectible": {"reason": "user_forgiven"}}
    if status == "void":
        invoice |= {"amount_remaining": 0}
        _give_balance_back(sandbox, invoice)
        give_back(sandbox, invoice)
    sandbox.store.put(invoice)
    sandbox.tell("invoice.updated", invoice, before)
    sandbox.tell(kind, invoice)
    invoice_moved(sandbox, invoice)
    return invoice


def _give_balance_back(sandbox: Sandbox, invoice: Json) -> None:
    taken = invoice["ending_balance"] - invoice["starting_balance"]
    if taken:
        customer = sandbox.store.get("customer", invoice["customer"])
        kind = "unapplied_from_invoice"
        move_balance(sandbox, customer, -taken, currency=invoice["currency"], kind=kind, invoice=invoice["id"])


def redeemed(sandbox: Sandbox, invoice: Json, sent: list[Json]) -> Json:
    """Redeem coupons for an invoice that is made by hand, and return its fields of them; raises `StripeFault`."""
    discounts = redeem(sandbox, sent, holder=invoice)
    kept = [_kept_discount(sandbox, each) for each in discounts]
    return {"discounts": [each["id"] for each in discounts], "_discounts": kept}


def _kept_discount(sandbox: Sandbox, body: Json) -> Json:
    """Return what an invoice keeps of a discount."""
    coupon = coupon_of(sandbox, body)
    percent = coupon["percent_off"]
    return {
        "discount": body["id"],
        "percent_off": None if percent is None else str(percent),
        "amount_off": coupon["amount_off"],
        "products": (coupon.get("applies_to") or {}).get("products"),
    }


def blank_invoice(customer: Json, fields: Json, *, currency: str, at: int) -> Json:
    """Return a draft of a customer, not kept: `fields` over what every new one has."""
    fields = dict(fields)
    days = fields.pop("days_until_due", None)
    automatic = fields.get("auto_advance", False)
    tax = fields.get("automatic_tax") or {}
    is_taxed = tax.get("enabled", False)
    is_located = ((customer["address"] or {}).get("country")) is not None
    body: Json = dict.fromkeys(_EMPTY) | dict.fromkeys(_ZERO, 0)
    body |= {
        "object": "invoice",
        "account_name": "Sandbox",
        "attempted": False,
        "auto_advance": False,
        "automatically_finalizes_at": at + FINALIZED_AFTER_S if automatic else None,
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "created": at,
        "currency": currency,
        "customer": customer["id"],
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "issuer": {"account": None, "type": "self"},
        "lines": {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": ""},
        "livemode": False,
        "metadata": {},
        "payment_settings": {"default_mandate": None, "payment_method_options": None, "payment_method_types": None},
        "payments": {"object": "list", "data": [], "has_more": False, "url": "/v1/invoice_payments"},
        "period_end": at,
        "period_start": at,
        "starting_balance": customer["balance"],
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "test_clock": customer.get("test_clock"),
        "_days_until_due": days,
        "_discounts": [],
        "_sources": [],
    }
    body |= {f"customer_{name}": customer[name] for name in ("address", "email", "name", "phone", "shipping")}
    body["customer_tax_exempt"] = customer["tax_exempt"] or "none"
    body |= fields
    body["discounts"] = [each["discount"] for each in body["_discounts"]]
    body["automatic_tax"] = {
        "disabled_reason": None,
        "enabled": is_taxed,
        "liability": {"account": None, "type": "self"} if is_taxed else None,
        "provider": "stripe" if is_taxed else None,
        "status": ("complete" if is_located else "requires_location_inputs") if is_taxed else None,
    }
    return body


_EMPTY: Final = (
    "account_country",
    "account_tax_ids",
    "application",
    "confirmation_secret",
    "custom_fields",
    "customer_account",
    "default_payment_method",
    "default_source",
    "description",
    "due_date",
    "effective_at",
    "ending_balance",
    "footer",
    "from_invoice",
    "hosted_invoice_url",
    "invoice_pdf",
    "last_finalization_error",
    "latest_revision",
    "next_payment_attempt",
    "number",
    "on_behalf_of",
    "parent",
    "receipt_number",
    "rendering",
    "shipping_cost",
    "shipping_details",
    "statement_descriptor",
    "status_details",
    "threshold_reason",
    "webhooks_delivered_at",
)
_ZERO: Final = (
    "amount_due",
    "amount_overpaid",
    "amount_paid",
    "amount_paid_off_stripe",
    "amount_remaining",
    "amount_shipping",
    "attempt_count",
    "post_payment_credit_notes_amount",
    "pre_payment_credit_notes_amount",
    "subtotal",
    "total",
)
