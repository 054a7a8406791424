"""The requests of `/v1/invoices` (docs.stripe.com/api/invoices)."""

from __future__ import annotations

from typing import Any, Final

from stripe.params._invoice_add_lines_params import InvoiceAddLinesParams
from stripe.params._invoice_create_params import InvoiceCreateParams
from stripe.params._invoice_delete_params import InvoiceDeleteParams
from stripe.params._invoice_finalize_invoice_params import InvoiceFinalizeInvoiceParams
from stripe.params._invoice_line_item_list_params import InvoiceLineItemListParams
from stripe.params._invoice_line_item_update_params import InvoiceLineItemUpdateParams
from stripe.params._invoice_list_params import InvoiceListParams
from stripe.params._invoice_mark_uncollectible_params import InvoiceMarkUncollectibleParams
from stripe.params._invoice_pay_params import InvoicePayParams
from stripe.params._invoice_remove_lines_params import InvoiceRemoveLinesParams
from stripe.params._invoice_retrieve_params import InvoiceRetrieveParams
from stripe.params._invoice_send_invoice_params import InvoiceSendInvoiceParams
from stripe.params._invoice_update_lines_params import InvoiceUpdateLinesParams
from stripe.params._invoice_update_params import InvoiceUpdateParams
from stripe.params._invoice_void_invoice_params import InvoiceVoidInvoiceParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    changed,
    created_in,
    is_as_sent,
    merged_metadata,
    page_of,
    refuse_others,
)
from faregate.providers.sandbox.customers import live_customer, required_customer
from faregate.providers.sandbox.faults import Json, missing, refused
from faregate.providers.sandbox.intents import raise_decline
from faregate.providers.sandbox.invoice_items import (
    draft,
    edited_item,
    items_on,
    new_item,
    put_on,
    remove_item,
    take_pending,
)
from faregate.providers.sandbox.invoice_payments import collect
from faregate.providers.sandbox.invoices import (
    ADVANCE,
    FINALIZED_AFTER_S,
    finalize,
    moved_to,
    new_invoice,
    redeemed,
    refreshed,
    settle,
)
from faregate.providers.sandbox.payment_methods import default_payment_method
from faregate.providers.sandbox.tax import named_tax_rates
from faregate.providers.sandbox.times import in_time_of, plan

_WHEN_FINAL: Final = frozenset({"auto_advance", "default_payment_method", "metadata"})
_WHEN_DRAFT: Final = _WHEN_FINAL | {
    "automatic_tax",
    "automatically_finalizes_at",
    "collection_method",
    "custom_fields",
    "days_until_due",
    "default_tax_rates",
    "description",
    "discounts",
    "due_date",
    "effective_at",
    "footer",
    "number",
    "statement_descriptor",
}
_AT_CREATION: Final = _WHEN_DRAFT | {"currency", "customer", "pending_invoice_items_behavior"}
_SENT_ONLY: Final = ("days_until_due", "due_date")


def make_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a draft by hand; pending invoice items go on it where that is asked for."""
    sent = asked.parameters
    refuse_others(sent, _AT_CREATION, "an invoice")
    customer = required_customer(sandbox, sent)
    sandbox = in_time_of(sandbox, customer)
    fields = _fields(sandbox, {"collection_method": "charge_automatically"} | sent, is_new=True)
    currency: str = (sent.get("currency") or customer["currency"] or "usd").lower()
    discounts = fields.pop("discounts", [])
    invoice = new_invoice(sandbox, customer, fields, currency=currency)
    invoice |= redeemed(sandbox, invoice, discounts)
    if sent.get("pending_invoice_items_behavior") == "include":
        take_pending(sandbox, invoice, subscription=None)
    invoice = refreshed(sandbox, invoice)
    sandbox.tell("invoice.created", invoice)
    return invoice


def get_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Return an invoice, a draft with its amounts as they are now."""
    return refreshed(sandbox, sandbox.store.get("invoice", asked.ids[0]))


def list_invoices(sandbox: Sandbox, asked: Asked) -> Json:
    """List invoices."""
    sent = asked.parameters
    if "subscription" in sent:
        found: Any = sandbox.store.find("invoice", "subscription", sent["subscription"])
    elif "customer" in sent:
        found = sandbox.store.find("invoice", "customer", sent["customer"])
    else:
        found = sandbox.store.newest_first("invoice")

    def wanted(body: Json) -> bool:
        return (
            is_as_sent(body, sent, "customer", "status", "collection_method")
            and created_in(sent.get("created"), body["created"])
            and ("due_date" not in sent or (body["due_date"] and created_in(sent["due_date"], body["due_date"])))
        )

    page = page_of(asked, found, wanted)
    return page | {"data": [refreshed(sandbox, body) for body in page["data"]]}


def change_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a draft; of a finalized invoice, what does not touch its amounts."""
    sent = asked.parameters
    invoice = sandbox.store.get("invoice", asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    refuse_others(sent, _WHEN_DRAFT, "an invoice that is there")
    if invoice["status"] != "draft" and sent.keys() - _WHEN_FINAL:
        name = min(sent.keys() - _WHEN_FINAL)
        message = f"Finalized invoices can't be updated in this way: `{name}`"
        raise refused(message, param=name, code="invoice_not_editable")
    fields = _fields(sandbox, {"collection_method": invoice["collection_method"]} | sent, is_new=False)
    if "discounts" in fields:
        fields |= redeemed(sandbox, invoice, fields["discounts"])
    if "days_until_due" in fields:
        fields["_days_until_due"] = fields.pop("days_until_due")
    if "automatic_tax" in fields:
        fields["automatic_tax"] = invoice["automatic_tax"] | {"enabled": fields["automatic_tax"]["enabled"]}
    if fields.get("auto_advance") and invoice["status"] == "draft" and invoice["automatically_finalizes_at"] is None:
        fields["automatically_finalizes_at"] = sandbox.now() + FINALIZED_AFTER_S
    elif fields.get("auto_advance") is False:
        fields["automatically_finalizes_at"] = None
    after = refreshed(sandbox, changed(sandbox, invoice, fields, event="invoice.updated"))
    plan(sandbox, ADVANCE, after, at=after["automatically_finalizes_at"])
    return after


def delete_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Delete a draft that was made by hand; what was pending is so again."""
    invoice = sandbox.store.get("invoice", asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    if invoice["status"] != "draft":
        raise refused("You can only delete draft invoices.", param="id")
    if invoice["parent"] is not None:
        raise refused("You can't delete invoices created by subscriptions.", param="id")
    for item in items_on(sandbox, invoice):
        if item["_was_pending"]:
            put_on(sandbox, item, None)
        else:
            remove_item(sandbox, item)
    sandbox.store.remove(invoice)
    plan(sandbox, ADVANCE, invoice, at=None)
    sandbox.tell("invoice.deleted", invoice)
    return {"id": invoice["id"], "object": "invoice", "deleted": True}


def finalize_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Finalize a draft at once."""
    invoice = sandbox.store.get("invoice", asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    if invoice["status"] != "draft":
        message = "This invoice is already finalized, you can't re-finalize a non-draft invoice."
        raise refused(message, param="id", code="invoice_not_editable")
    if "auto_advance" in asked.parameters:
        invoice |= {"auto_advance": asked.parameters["auto_advance"]}
    return finalize(sandbox, invoice, sandbox.now())


def pay_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Pay an invoice that is open or was given up; a draft is finalized first."""
    sent = asked.parameters
    refuse_others(sent, frozenset({"off_session", "paid_out_of_band", "payment_method"}), "paying an invoice")
    invoice = sandbox.store.get("invoice", asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    if invoice["status"] == "draft":
        invoice = finalize(sandbox, invoice, sandbox.now())
        if invoice["status"] == "paid":
            return invoice
    if invoice["status"] not in {"open", "uncollectible"}:
        raise refused(f"Invoice is already {_state(invoice)}", param="id", code="invoice_already_paid")
    if sent.get("paid_out_of_band"):
        return settle(sandbox, invoice, sandbox.now(), amount=invoice["amount_remaining"], is_out_of_band=True)
    method = sent.get("payment_method") or invoice["default_payment_method"]
    customer = live_customer(sandbox, invoice["customer"])
    if method is None and default_payment_method(sandbox, customer) is None:
        message = "There is no `default_payment_method` set on this Customer or Invoice."
        raise refused(message, code="missing")
    if not collect(sandbox, invoice, sandbox.now(), method=method):
        raise_decline(sandbox.store.find("payment_intent", "invoice", invoice["id"])[0])
    return sandbox.store.get("invoice", invoice["id"])


def void_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Make an invoice void: as if it had never been."""
    invoice = sandbox.store.get("invoice", asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    if invoice["status"] not in {"open", "uncollectible"}:
        message = f"You can only pass in open or uncollectible invoices. This invoice is {_state(invoice)}."
        raise refused(message, param="id")
    return moved_to(sandbox, invoice, "void", at=sandbox.now())


def give_up_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Mark an open invoice as uncollectible."""
    invoice = sandbox.store.get("invoice", asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    if invoice["status"] != "open":
        message = f"You can only pass in open invoices. This invoice is {_state(invoice)}."
        raise refused(message, param="id")
    return moved_to(sandbox, invoice, "uncollectible", at=sandbox.now())


def send_invoice(sandbox: Sandbox, asked: Asked) -> Json:
    """Send an invoice by mail, which here is telling of it; a draft is finalized first."""
    invoice = sandbox.store.get("invoice", asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    if invoice["collection_method"] != "send_invoice":
        message = "You can only manually send an invoice if its collection method is 'send_invoice'."
        raise refused(message, param="id")
    if invoice["status"] == "draft":
        invoice = finalize(sandbox, invoice, sandbox.now())
    if invoice["status"] in {"void", "uncollectible"}:
        raise refused(f"You can't send an invoice that is {_state(invoice)}.", param="id")
    sandbox.tell("invoice.sent", invoice)
    return invoice


def list_lines(sandbox: Sandbox, asked: Asked) -> Json:
    """List an invoice's lines, in their order."""
    invoice = refreshed(sandbox, sandbox.store.get("invoice", asked.ids[0]))
    return page_of(asked, invoice["lines"]["data"])


def add_lines(sandbox: Sandbox, asked: Asked) -> Json:
    """Add lines to a draft: new ones, or pending invoice items."""
    invoice = draft(sandbox, asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    customer = live_customer(sandbox, invoice["customer"])
    for place, line in enumerate(asked.parameters["lines"]):
        if "invoice_item" not in line:
            new_item(sandbox, customer, line, invoice=invoice)
            continue
        param = f"lines[{place}][invoice_item]"
        item = sandbox.store.get("invoiceitem", line["invoice_item"], param=param)
        if item["invoice"] is not None or item["customer"] != invoice["customer"]:
            raise refused("The invoice item is not pending, or another customer's.", param=param)
        put_on(sandbox, item, invoice["id"])
    return _relined(sandbox, invoice, asked.parameters)


def change_lines(sandbox: Sandbox, asked: Asked) -> Json:
    """Change lines of a draft that are invoice items."""
    invoice = draft(sandbox, asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    for place, line in enumerate(asked.parameters["lines"]):
        item = _item_of(sandbox, invoice, line["id"], param=f"lines[{place}][id]")
        edited_item(sandbox, item, {name: value for name, value in line.items() if name != "id"})
    return _relined(sandbox, invoice, asked.parameters)


def change_line(sandbox: Sandbox, asked: Asked) -> Json:
    """Change one line of a draft that is an invoice item."""
    invoice = draft(sandbox, asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    edited_item(sandbox, _item_of(sandbox, invoice, asked.ids[1], param="id"), asked.parameters)
    lines = _relined(sandbox, invoice, {})["lines"]["data"]
    return next(line for line in lines if line["id"] == asked.ids[1])


def remove_lines(sandbox: Sandbox, asked: Asked) -> Json:
    """Take lines off a draft: for good, or to be pending again."""
    invoice = draft(sandbox, asked.ids[0])
    sandbox = in_time_of(sandbox, invoice)
    for place, line in enumerate(asked.parameters["lines"]):
        item = _item_of(sandbox, invoice, line["id"], param=f"lines[{place}][id]")
        if line["behavior"] == "unassign":
            put_on(sandbox, item, None)
        else:
            remove_item(sandbox, item)
    return _relined(sandbox, invoice, asked.parameters)


def _relined(sandbox: Sandbox, invoice: Json, sent: Json) -> Json:
    if "invoice_metadata" in sent:
        invoice = invoice | {"metadata": merged_metadata(invoice["metadata"], sent["invoice_metadata"] or {})}
    before = {name: invoice[name] for name in ("subtotal", "total", "amount_due")}
    after = refreshed(sandbox, invoice)
    sandbox.tell("invoice.updated", after, before)
    return after


def _item_of(sandbox: Sandbox, invoice: Json, line_id: str, *, param: str) -> Json:
    """Return the invoice item of a line of a draft."""
    line = next((line for line in refreshed(sandbox, invoice)["lines"]["data"] if line["id"] == line_id), None)
    if line is None:
        raise missing("line_item", line_id, param=param)
    details = line["parent"][line["parent"]["type"]]
    if details["invoice_item"] is None:
        raise refused("The sandbox changes only lines that are invoice items.", param=param)
    return sandbox.store.get("invoiceitem", details["invoice_item"])


def _fields(sandbox: Sandbox, sent: Json, *, is_new: bool) -> Json:
    """Return an invoice's fields of what was sent."""
    is_sent = sent["collection_method"] == "send_invoice"
    for name in _SENT_ONLY:
        if name in sent and not is_sent:
            message = f"`{name}` can only be set for invoices where `collection_method` is `send_invoice`."
            raise refused(message, param=name)
    if is_new and is_sent and not any(name in sent for name in _SENT_ONLY):
        message = "Either `days_until_due` or `due_date` must be set when `collection_method` is `send_invoice`."
        raise refused(message, param="days_until_due", code="parameter_missing")
    fields = {name: value for name, value in sent.items() if name in _WHEN_DRAFT}
    if "default_tax_rates" in fields:
        fields["default_tax_rates"] = named_tax_rates(sandbox, sent["default_tax_rates"], param="default_tax_rates")
    if "discounts" in fields:
        fields["discounts"] = fields["discounts"] or []
    if is_new:
        fields["metadata"] = sent.get("metadata") or {}
    return fields


def _state(invoice: Json) -> str:
    status: str = invoice["status"]
    return {"void": "voided"}.get(status, status)


_ONE: Final = "/v1/invoices/{}"
ROUTES = [
    Route(method="POST", path="/v1/invoices", parameters=InvoiceCreateParams, answer=make_invoice),
    Route(method="GET", path="/v1/invoices", parameters=InvoiceListParams, answer=list_invoices),
    Route(method="GET", path=_ONE, parameters=InvoiceRetrieveParams, answer=get_invoice),
    Route(method="POST", path=_ONE, parameters=InvoiceUpdateParams, answer=change_invoice),
    Route(method="DELETE", path=_ONE, parameters=InvoiceDeleteParams, answer=delete_invoice),
    Route(method="POST", path=f"{_ONE}/finalize", parameters=InvoiceFinalizeInvoiceParams, answer=finalize_invoice),
    Route(method="POST", path=f"{_ONE}/pay", parameters=InvoicePayParams, answer=pay_invoice),
    Route(method="POST", path=f"{_ONE}/void", parameters=InvoiceVoidInvoiceParams, answer=void_invoice),
    Route(
        method="POST",
        path=f"{_ONE}/mark_uncollectible",
        parameters=InvoiceMarkUncollectibleParams,
        answer=give_up_invoice,
    ),
    Route(method="POST", path=f"{_ONE}/send", parameters=InvoiceSendInvoiceParams, answer=send_invoice),
    Route(method="GET", path=f"{_ONE}/lines", parameters=InvoiceLineItemListParams, answer=list_lines),
    Route(method="POST", path=f"{_ONE}/lines/{{}}", parameters=InvoiceLineItemUpdateParams, answer=change_line),
    Route(method="POST", path=f"{_ONE}/add_lines", parameters=InvoiceAddLinesParams, answer=add_lines),
    Route(method="POST", path=f"{_ONE}/update_lines", parameters=InvoiceUpdateLinesParams, answer=change_lines),
    Route(method="POST", path=f"{_ONE}/remove_lines", parameters=InvoiceRemoveLinesParams, answer=remove_lines),
]
