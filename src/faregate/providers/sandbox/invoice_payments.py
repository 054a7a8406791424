"""Taking the payment of invoices, and what each payment paid (docs.stripe.com/api/invoice-payment).

A draft that advances by itself is finalized an hour after it was made; what is charged automatically is then tried at
once, and again after days where that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from stripe.params._invoice_payment_list_params import InvoicePaymentListParams
from stripe.params._invoice_payment_retrieve_params import InvoicePaymentRetrieveParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, created_in, is_as_sent, page_of, retrieved
from faregate.providers.sandbox.cards import AUTHENTICATION_REQUIRED
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.invoices import ADVANCE, RETRY, finalize, settle
from faregate.providers.sandbox.payment_intents import charge_off_session
from faregate.providers.sandbox.subscription_states import invoice_moved
from faregate.providers.sandbox.times import plan

RETRY_AFTER_DAYS: Final = (3, 5, 7)
"""How long after each failed payment of an invoice the next is tried; after the last there is none."""

_DAY_S: Final = 86_400
_KIND: Final = "invoice_payment"


def collect(sandbox: Sandbox, invoice: Json, at: int, *, method: str | None = None) -> bool:
    """Try once to take what is left to pay of an open invoice from its customer; return whether it is paid.

    `method`: a payment method, in place of the invoice's or the customer's default one.
    """
    sandbox = sandbox.at(at)
    customer = sandbox.store.get("customer", invoice["customer"])
    intent = charge_off_session(
        sandbox,
        customer=customer,
        amount=invoice["amount_remaining"],
        currency=invoice["currency"],
        description=invoice["description"],
        invoice=invoice["id"],
        at=at,
        method=method or invoice["default_payment_method"],
    )
    invoice = invoice | {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    if intent["status"] == "succeeded":
        amount = invoice["amount_remaining"]
        settle(sandbox, _paid_by(sandbox, invoice, intent, amount=amount), at, amount=amount)
        return True
    _fail(sandbox, invoice, intent)
    return False


def _fail(sandbox: Sandbox, invoice: Json, intent: Json) -> None:
    now, tried = sandbox.now(), invoice["attempt_count"]
    days = RETRY_AFTER_DAYS[tried - 1] if tried <= len(RETRY_AFTER_DAYS) else None
    again = now + days * _DAY_S if days is not None and invoice["auto_advance"] else None
    before = sandbox.store.get("invoice", invoice["id"])
    names = ("attempted", "attempt_count", "next_payment_attempt")
    invoice = invoice | {"next_payment_attempt": again}
    sandbox.store.put(invoice)
    plan(sandbox, RETRY, invoice, at=again)
    sandbox.tell("invoice.updated", invoice, {name: before[name] for name in names if before[name] != invoice[name]})
    sandbox.tell("invoice.payment_failed", invoice)
    if (intent["last_payment_error"] or {}).get("code") == AUTHENTICATION_REQUIRED.code:
        sandbox.tell("invoice.payment_action_required", invoice)
    invoice_moved(sandbox, invoice)


def _paid_by(sandbox: Sandbox, invoice: Json, intent: Json, *, amount: int) -> Json:
    """Keep what a payment paid of an invoice, and return the invoice with it."""
    now = sandbox.now()
    body: Json = {
        "id": sandbox.new_id("inpay"),
        "object": _KIND,
        "amount_paid": amount,
        "amount_requested": amount,
        "created": now,
        "currency": invoice["currency"],
        "invoice": invoice["id"],
        "is_default": True,
        "livemode": False,
        "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
        "status": "paid",
        "status_transitions": {"canceled_at": None, "paid_at": now},
    }
    sandbox.store.add(body, invoice=invoice["id"], payment_intent=intent["id"])
    sandbox.tell("invoice_payment.paid", body)
    return invoice | {"payments": invoice["payments"] | {"data": [body, *invoice["payments"]["data"]]}}


def bill(sandbox: Sandbox, invoice: Json, *, is_collected: bool = True) -> Json:
    """Finalize a draft now, and take the payment where it is charged; return it."""
    at = sandbox.now()
    invoice = finalize(sandbox, invoice, at)
    if invoice["status"] == "open" and invoice["collection_method"] == "charge_automatically" and is_collected:
        collect(sandbox, invoice, at)
    return sandbox.store.get("invoice", invoice["id"])


def advance(sandbox: Sandbox, identifier: str) -> None:
    """Bill a draft whose hour is over."""
    invoice = sandbox.store.get("invoice", identifier)
    if invoice["status"] == "draft":
        bill(sandbox, invoice)


def retry(sandbox: Sandbox, identifier: str) -> None:
    """Try again to collect an invoice that is still open."""
    invoice = sandbox.store.get("invoice", identifier)
    if invoice["status"] == "open" and invoice["auto_advance"]:
        collect(sandbox, invoice, sandbox.now())


def list_payments(sandbox: Sandbox, asked: Asked) -> Json:
    """List what payments paid of invoices."""
    sent = asked.parameters
    intent = sent.get("payment", {}).get("payment_intent")

    def wanted(body: Json) -> bool:
        return (
            is_as_sent(body, sent, "invoice", "status")
            and intent in {None, body["payment"]["payment_intent"]}
            and created_in(sent.get("created"), body["created"])
        )

    return page_of(asked, sandbox.store.newest_first(_KIND), wanted)


WORKS: Final[Mapping[str, Callable[[Sandbox, str], None]]] = {ADVANCE: advance, RETRY: retry}
ROUTES = [
    Route(method="GET", path="/v1/invoice_payments", parameters=InvoicePaymentListParams, answer=list_payments),
    Route(
        method="GET", path="/v1/invoice_payments/{}", parameters=InvoicePaymentRetrieveParams, answer=retrieved(_KIND)
    ),
]
