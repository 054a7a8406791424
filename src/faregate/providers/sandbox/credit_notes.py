"""Credit notes: they lower what is left to pay of an invoice, then give back what was paid.

As in docs.stripe.com/api/credit_notes.
"""

from __future__ import annotations

from typing import Any, Final

from stripe.params._credit_note_create_params import CreditNoteCreateParams
from stripe.params._credit_note_line_item_list_params import CreditNoteLineItemListParams
from stripe.params._credit_note_list_params import CreditNoteListParams
from stripe.params._credit_note_preview_lines_list_params import CreditNotePreviewLinesListParams
from stripe.params._credit_note_preview_params import CreditNotePreviewParams
from stripe.params._credit_note_retrieve_params import CreditNoteRetrieveParams
from stripe.params._credit_note_update_params import CreditNoteUpdateParams
from stripe.params._credit_note_void_credit_note_params import CreditNoteVoidCreditNoteParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    changed,
    created_in,
    is_as_sent,
    page_of,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.credit_note_lines import line_total, note_lines
from faregate.providers.sandbox.customer_balance import move_balance
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.invoice_totals import summed
from faregate.providers.sandbox.invoices import settle
from faregate.providers.sandbox.refunds import refund_charge
from faregate.providers.sandbox.times import in_time_of

_BACK: Final = ("credit_amount", "out_of_band_amount", "refund_amount")
_KNOWN: Final = frozenset(
    {"amount", "effective_at", "email_type", "invoice", "lines", "memo", "metadata", "reason", *_BACK}
)


def make_note(sandbox: Sandbox, asked: Asked) -> Json:
    """Issue a credit note."""
    invoice = _invoice(sandbox, asked.parameters)
    sandbox = in_time_of(sandbox, invoice)
    body = _drawn_up(sandbox, invoice, asked.parameters)
    sandbox.store.add(body, invoice=invoice["id"])
    body = _given_back(sandbox, invoice, body, sent=asked.parameters)
    sandbox.store.put(body)
    sandbox.tell("credit_note.created", body)
    _lower(sandbox, invoice, body)
    return body


def preview_note(sandbox: Sandbox, asked: Asked) -> Json:
    """Return the credit note that a request would issue."""
    invoice = _invoice(sandbox, asked.parameters)
    return _drawn_up(in_time_of(sandbox, invoice), invoice, asked.parameters)


def preview_lines(sandbox: Sandbox, asked: Asked) -> Json:
    """List the lines of the credit note that a request would issue."""
    paging = ("limit", "starting_after", "ending_before")
    sent = {name: value for name, value in asked.parameters.items() if name not in paging}
    invoice = _invoice(sandbox, sent)
    return page_of(asked, _drawn_up(in_time_of(sandbox, invoice), invoice, sent)["lines"]["data"])


def change_note(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a credit note's memo and metadata."""
    body = sandbox.store.get("credit_note", asked.ids[0])
    return changed(sandbox, body, asked.parameters, event="credit_note.updated")


def list_notes(sandbox: Sandbox, asked: Asked) -> Json:
    """List credit notes."""
    sent = asked.parameters

    def wanted(body: Json) -> bool:
        return is_as_sent(body, sent, "invoice", "customer") and created_in(sent.get("created"), body["created"])

    return page_of(asked, sandbox.store.newest_first("credit_note"), wanted)


def list_lines(sandbox: Sandbox, asked: Asked) -> Json:
    """List a credit note's lines."""
    return page_of(asked, sandbox.store.get("credit_note", asked.ids[0])["lines"]["data"])


def void_note(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a credit note void, while its invoice is open: what it took off is to be paid again."""
    body = sandbox.store.get("credit_note", asked.ids[0])
    invoice = sandbox.store.get("invoice", body["invoice"])
    sandbox = in_time_of(sandbox, invoice)
    if body["status"] == "void" or invoice["status"] != "open":
        raise refused("You can only void a credit note that was issued for an open invoice.", param="id")
    fields = {"status": "void", "voided_at": sandbox.now()}
    body = changed(sandbox, body, fields, event="credit_note.updated")
    sandbox.tell("credit_note.voided", body)
    _move(sandbox, invoice, pre=-body["pre_payment_amount"], post=0)
    return body


def _invoice(sandbox: Sandbox, sent: Json) -> Json:
    refuse_others(sent, _KNOWN, "a credit note")
    invoice = sandbox.store.get("invoice", sent["invoice"], param="invoice")
    if invoice["status"] not in {"open", "paid"}:
        message = f"You can only issue credit notes for open or paid invoices: this one is {invoice['status']}."
        raise refused(message, param="invoice")
    return invoice


def _drawn_up(sandbox: Sandbox, invoice: Json, sent: Json) -> Json:
    """Return a credit note, not kept, that gives nothing back yet; raises `StripeFault`."""
    lines = note_lines(sandbox, invoice, sent)
    total = sum(line_total(line) for line in lines)
    noted = invoice["pre_payment_credit_notes_amount"] + invoice["post_payment_credit_notes_amount"]
    if not 0 < total <= invoice["total"] - noted:
        message = f"The credit note's total is {total}: at most {invoice['total'] - noted} is left to credit."
        raise refused(message, param="amount")
    pre = min(total, invoice["amount_remaining"])
    back = sum(sent.get(name, 0) for name in _BACK)
    if back != total - pre or any(sent.get(name, 0) < 0 for name in _BACK):
        message = (
            f"The sum of `credit_amount`, `refund_amount` and `out_of_band_amount` must be {total - pre}, "
            "what was paid of the credit note's total."
        )
        raise refused(message, param="credit_amount")
    return _body(sandbox, invoice, sent, lines=lines, pre=pre)


def _body(sandbox: Sandbox, invoice: Json, sent: Json, *, lines: list[Json], pre: int) -> Json:
    now = sandbox.now()
    identifier = sandbox.new_id("cn")
    number = len(sandbox.store.find("credit_note", "invoice", invoice["id"])) + 1
    discounts = sum(line["discount_amount"] for line in lines)
    subtotal = sum(line["amount"] for line in lines)
    total = sum(line_total(line) for line in lines)
    taxes = summed(lines, "taxes")
    kinds = {(True, True): "mixed", (True, False): "pre_payment"}
    inclusive = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "inclusive")
    return {
        "id": identifier,
        "object": "credit_note",
        "amount": total,
        "amount_shipping": 0,
        "created": now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": discounts,
        "discount_amounts": summed(lines, "discount_amounts"),
        "effective_at": sent.get("effective_at", now),
        "invoice": invoice["id"],
        "lines": {
            "object": "list",
            "data": lines,
            "has_more": False,
            "url": f"/v1/credit_notes/{identifier}/lines",
        },
        "livemode": False,
        "memo": sent.get("memo"),
        "metadata": sent.get("metadata", {}),
        "number": f"{invoice['number']}-CN-{number:02}",
        "out_of_band_amount": sent.get("out_of_band_amount"),
        "pdf": "",
        "post_payment_amount": total - pre,
        "pre_payment_amount": pre,
        "pretax_credit_amounts": summed(lines, "pretax_credit_amounts"),
        "reason": sent.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - inclusive,
        "total": total,
        "total_excluding_tax": total - sum(tax["amount"] for tax in taxes),
        "total_taxes": taxes,
        "type": kinds.get((pre > 0, total > pre), "post_payment"),
        "voided_at": None,
    }


def _given_back(sandbox: Sandbox, invoice: Json, body: Json, *, sent: Json) -> Json:
    """Refund and credit what was paid; return the credit note with what came of it."""
    fields: Json = {}
    if sent.get("credit_amount"):
        moved = move_balance(
            sandbox,
            sandbox.store.get("customer", invoice["customer"]),
            -sent["credit_amount"],
            currency=invoice["currency"],
            kind="credit_note",
            invoice=invoice["id"],
            credit_note=body["id"],
        )
        fields["customer_balance_transaction"] = moved["id"]
    if sent.get("refund_amount"):
        refund = refund_charge(
            sandbox, _charge(sandbox, invoice), amount=sent["refund_amount"], reason=None, metadata={}
        )
        fields["refunds"] = [
            {
                "amount_refunded": refund["amount"],
                "payment_record_refund": None,
                "refund": refund["id"],
                "type": "refund",
            }
        ]
    return body | fields


def _charge(sandbox: Sandbox, invoice: Json) -> Json:
    for payment in invoice["payments"]["data"]:
        intent = sandbox.store.get("payment_intent", payment["payment"]["payment_intent"])
        return sandbox.store.get("charge", intent["latest_charge"])
    raise refused("The invoice has no charge to refund: it was not paid by one.", param="refund_amount")


def _lower(sandbox: Sandbox, invoice: Json, body: Json) -> None:
    """Let a credit note count on its invoice; one of which nothing is left to pay is paid."""
    after = _move(sandbox, invoice, pre=body["pre_payment_amount"], post=body["post_payment_amount"])
    if invoice["status"] == "open" and after["amount_remaining"] == 0:
        settle(sandbox, after, sandbox.now(), amount=0)


def _move(sandbox: Sandbox, invoice: Json, *, pre: int, post: int) -> Json:
    fields: dict[str, Any] = {
        "amount_due": invoice["amount_due"] - pre,
        "amount_remaining": invoice["amount_remaining"] - pre,
        "post_payment_credit_notes_amount": invoice["post_payment_credit_notes_amount"] + post,
        "pre_payment_credit_notes_amount": invoice["pre_payment_credit_notes_amount"] + pre,
    }
    return changed(sandbox, invoice, fields, event="invoice.updated")


_ALL: Final = "/v1/credit_notes"
ROUTES = [
    Route(method="GET", path=f"{_ALL}/preview", parameters=CreditNotePreviewParams, answer=preview_note),
    Route(
        method="GET", path=f"{_ALL}/preview/lines", parameters=CreditNotePreviewLinesListParams, answer=preview_lines
    ),
    Route(method="POST", path=_ALL, parameters=CreditNoteCreateParams, answer=make_note),
    Route(method="GET", path=_ALL, parameters=CreditNoteListParams, answer=list_notes),
    Route(method="GET", path=f"{_ALL}/{{}}", parameters=CreditNoteRetrieveParams, answer=retrieved("credit_note")),
    Route(method="POST", path=f"{_ALL}/{{}}", parameters=CreditNoteUpdateParams, answer=change_note),
    Route(method="GET", path=f"{_ALL}/{{}}/lines", parameters=CreditNoteLineItemListParams, answer=list_lines),
    Route(method="POST", path=f"{_ALL}/{{}}/void", parameters=CreditNoteVoidCreditNoteParams, answer=void_note),
]
