"""Invoice items: pending for a customer's next invoice, or on a draft (docs.stripe.com/api/invoiceitems)."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from stripe.params._invoice_item_create_params import InvoiceItemCreateParams
from stripe.params._invoice_item_delete_params import InvoiceItemDeleteParams
from stripe.params._invoice_item_list_params import InvoiceItemListParams
from stripe.params._invoice_item_retrieve_params import InvoiceItemRetrieveParams
from stripe.params._invoice_item_update_params import InvoiceItemUpdateParams

from faregate.providers.arithmetic import half_away_from_zero
from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    changed,
    created_in,
    is_as_sent,
    known_currency,
    page_of,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Json, lacking, refused
from faregate.providers.sandbox.invoice_lines import priced
from faregate.providers.sandbox.prices import make_price
from faregate.providers.sandbox.subscription_states import subscription_of
from faregate.providers.sandbox.tax import named_tax_rates
from faregate.providers.sandbox.times import in_time_of

_COSTS: Final = frozenset(
    {"amount", "currency", "price_data", "pricing", "quantity", "quantity_decimal", "unit_amount_decimal"}
)
_ON_BOTH: Final = _COSTS | {"description", "discountable", "metadata", "period", "tax_behavior", "tax_rates"}
_KNOWN: Final = _ON_BOTH | {"customer", "invoice", "subscription"}
_AMOUNTS: Final = ("amount", "pricing", "price_data", "unit_amount_decimal")


def make_item(sandbox: Sandbox, asked: Asked) -> Json:
    """Make an invoice item: on a draft, or pending."""
    sent = asked.parameters
    refuse_others(sent, _KNOWN, "an invoice item")
    invoice = None
    if "invoice" in sent:
        invoice = draft(sandbox, sent["invoice"], param="invoice")
    if "customer" not in sent and invoice is None:
        raise lacking("customer")
    customer = live_customer(sandbox, sent.get("customer") or (invoice or {})["customer"])
    if invoice is not None and invoice["customer"] != customer["id"]:
        raise refused("The customer of the invoice item must be the invoice's.", param="customer")
    return new_item(sandbox, customer, sent, invoice=invoice, subscription=sent.get("subscription"))


def new_item(
    sandbox: Sandbox,
    customer: Json,
    sent: Json,
    *,
    invoice: Json | None = None,
    subscription: str | None = None,
    subscription_item: str | None = None,
    is_proration: bool = False,
) -> Json:
    """Make an invoice item of the parameters that Stripe's request has; pending where no draft is given.

    With `is_proration` the price may be a recurring one, and `amount` stands beside it.
    """
    sandbox = in_time_of(sandbox, customer)
    body = item_body(sandbox, customer, sent, invoice=invoice, is_proration=is_proration)
    if subscription is not None:
        details = {"subscription": subscription, "subscription_item": subscription_item}
        body["parent"] = {"subscription_details": details, "type": "subscription_details"}
    sandbox.store.add(body, customer=customer["id"], invoice=body["invoice"])
    sandbox.tell("invoiceitem.created", body)
    return body


def item_body(
    sandbox: Sandbox, customer: Json, sent: Json, *, invoice: Json | None = None, is_proration: bool = False
) -> Json:
    """Return an invoice item, not kept; raises `StripeFault`."""
    now = sandbox.now()
    costs = _costs(sandbox, sent, invoice or customer, is_proration=is_proration)
    body: Json = {
        "id": sandbox.new_id("ii"),
        "object": "invoiceitem",
        "customer": customer["id"],
        "customer_account": None,
        "date": now,
        "description": sent.get("description"),
        "discountable": sent.get("discountable", costs["amount"] >= 0 and not is_proration),
        "discounts": [],
        "frozen_fields": [],
        "invoice": None if invoice is None else invoice["id"],
        "invoicing_rules": None,
        "livemode": False,
        "metadata": sent.get("metadata") or {},
        "net_amount": costs["amount"],
        "parent": None,
        "period": sent.get("period", {"start": now, "end": now}),
        "proration": is_proration,
        "proration_details": None,
        "tax_rates": named_tax_rates(sandbox, sent.get("tax_rates"), param="tax_rates"),
        "test_clock": customer.get("test_clock"),
        "_was_pending": invoice is None,
        "_metered": sent.get("_metered"),
    } | costs
    if body["period"]["end"] < body["period"]["start"]:
        raise refused("The period's end must not be before its start.", param="period[end]")
    return body


def change_item(sandbox: Sandbox, asked: Asked) -> Json:
    """Change an invoice item that is pending or on a draft."""
    body = sandbox.store.get("invoiceitem", asked.ids[0])
    return edited_item(sandbox, body, asked.parameters)


def edited_item(sandbox: Sandbox, body: Json, sent: Json) -> Json:
    """Change an invoice item; raises `StripeFault` once its invoice is finalized."""
    refuse_others(sent, _ON_BOTH, "an invoice item")
    _refuse_if_final(sandbox, body)
    fields = {name: value for name, value in sent.items() if name not in _COSTS | {"tax_behavior"}}
    if _COSTS & sent.keys():
        details = (body["pricing"] or {}).get("price_details")
        before: Json = {"quantity": body["quantity"], "currency": body["currency"]}
        if not any(name in sent for name in _AMOUNTS):
            unit = (body["pricing"] or {}).get("unit_amount_decimal")
            if unit is None:
                raise refused("An item with an amount has no quantity to change.", param="quantity")
            before |= {"pricing": {"price": details["price"]}} if details else {"unit_amount_decimal": unit}
        if "amount" in sent:
            before.pop("quantity")
        fields |= _costs(sandbox, before | sent, body, is_proration=body["proration"])
        fields["net_amount"] = fields["amount"]
    if "tax_behavior" in sent:
        fields["_tax_behavior"] = sent["tax_behavior"]
    if "tax_rates" in sent:
        fields["tax_rates"] = named_tax_rates(sandbox, sent["tax_rates"], param="tax_rates")
    return changed(sandbox, body, fields, event="invoiceitem.updated")


def delete_item(sandbox: Sandbox, asked: Asked) -> Json:
    """Delete an invoice item that is pending or on a draft."""
    body = sandbox.store.get("invoiceitem", asked.ids[0])
    _refuse_if_final(sandbox, body)
    remove_item(sandbox, body)
    return {"id": body["id"], "object": "invoiceitem", "deleted": True}


def remove_item(sandbox: Sandbox, body: Json) -> None:
    """Forget an invoice item, and tell of it."""
    sandbox.store.remove(body)
    sandbox.tell("invoiceitem.deleted", body)


def list_items(sandbox: Sandbox, asked: Asked) -> Json:
    """List invoice items."""
    sent = asked.parameters

    def wanted(body: Json) -> bool:
        return (
            is_as_sent(body, sent, "customer", "invoice")
            and sent.get("pending", body["invoice"] is None) is (body["invoice"] is None)
            and created_in(sent.get("created"), body["date"])
        )

    return page_of(asked, sandbox.store.newest_first("invoiceitem"), wanted)


def items_on(sandbox: Sandbox, invoice: Json) -> list[Json]:
    """Return an invoice's items, oldest first."""
    return sandbox.store.find("invoiceitem", "invoice", invoice["id"])[::-1]


def take_pending(sandbox: Sandbox, invoice: Json, *, subscription: str | None) -> None:
    """Put a customer's pending items of an invoice's currency on it: of no subscription, and of this one."""
    for item in pending_items(sandbox, invoice, subscription=subscription):
        put_on(sandbox, item, invoice["id"])


def pending_items(sandbox: Sandbox, invoice: Json, *, subscription: str | None) -> list[Json]:
    """Return the pending items that an invoice of a subscription, or of none, takes along, oldest first."""
    return [
        item
        for item in sandbox.store.find("invoiceitem", "customer", invoice["customer"])[::-1]
        if item["invoice"] is None
        and subscription_of(item) in {None, subscription}
        and item["currency"] == invoice["currency"]
    ]


def put_on(sandbox: Sandbox, item: Json, invoice: str | None) -> None:
    """Put an item on a draft; None: it is pending again."""
    sandbox.store.put(item | {"invoice": invoice})
    sandbox.store.index(item, invoice=invoice)


def draft(sandbox: Sandbox, identifier: str, *, param: str = "id") -> Json:
    """Return an invoice that can still be changed; raises `StripeFault`."""
    body = sandbox.store.get("invoice", identifier, param=param)
    if body["status"] != "draft":
        message = "This invoice is no longer editable: it was finalized."
        raise refused(message, param=param, code="invoice_not_editable")
    return body


def _refuse_if_final(sandbox: Sandbox, item: Json) -> None:
    if item["invoice"] is not None:
        draft(sandbox, item["invoice"])


def _costs(sandbox: Sandbox, sent: Json, of: Json, *, is_proration: bool) -> Json:
    """Return an item's amount, currency, quantity and pricing; `of`: the invoice or the customer, for its currency."""
    named = [name for name in _AMOUNTS if name in sent]
    if len(named) != 1 and not is_proration:
        message = f"Set exactly one of {', '.join(f'`{name}`' for name in _AMOUNTS)}."
        raise refused(message, param=named[1] if named else "amount", code=None if named else "parameter_missing")
    code = sent.get("currency", of["currency"])
    price = _price(sandbox, sent, is_proration=is_proration)
    if price is not None:
        if (sent.get("currency") or price["currency"]).lower() != price["currency"]:
            raise refused("The currency must be the price's.", param="currency")
        code = price["currency"]
    if code is None:
        raise lacking("currency")
    code = known_currency(code)
    if of["object"] != "customer" and of["currency"] != code:
        raise refused(f"The currency must be the invoice's: {of['currency']}.", param="currency")
    quantity: Any = sent.get("quantity_decimal", sent.get("quantity", 1))
    if quantity < 0 or ("amount" in sent and "quantity" in sent and not is_proration):
        raise refused("A quantity goes with a unit amount and is not negative.", param="quantity")
    unit = None
    if price is not None:
        unit = price["unit_amount_decimal"]
    elif "unit_amount_decimal" in sent:
        unit = f"{sent['unit_amount_decimal'].normalize():f}"
    amount = sent["amount"] if "amount" in sent else half_away_from_zero(Fraction(unit or 0) * Fraction(quantity))
    return {
        "amount": amount,
        "currency": code,
        "quantity": int(quantity),
        "quantity_decimal": str(quantity),
        "pricing": priced(price, str(amount) if unit is None else unit),
        "_tax_behavior": sent.get("tax_behavior") or (price or {}).get("tax_behavior", "unspecified"),
    }


def _price(sandbox: Sandbox, sent: Json, *, is_proration: bool) -> Json | None:
    if "price_data" in sent:
        return make_price(sandbox, Asked(url="/v1/prices", ids=(), parameters=sent["price_data"] | {"active": False}))
    identifier = sent.get("pricing", {}).get("price")
    if identifier is None:
        return None
    price = sandbox.store.get("price", identifier, param="pricing[price]")
    if price["type"] == "recurring" and not is_proration:
        message = (
            "The price specified is set to `type=recurring` but this field only accepts prices with `type=one_time`."
        )
        raise refused(message, param="pricing[price]")
    if not price["active"] and not is_proration:
        raise refused(f"The price specified is inactive: {identifier}.", param="pricing[price]")
    return price


ROUTES = [
    Route(method="POST", path="/v1/invoiceitems", parameters=InvoiceItemCreateParams, answer=make_item),
    Route(method="GET", path="/v1/invoiceitems", parameters=InvoiceItemListParams, answer=list_items),
    Route(
        method="GET", path="/v1/invoiceitems/{}", parameters=InvoiceItemRetrieveParams, answer=retrieved("invoiceitem")
    ),
    Route(method="POST", path="/v1/invoiceitems/{}", parameters=InvoiceItemUpdateParams, answer=change_item),
    Route(method="DELETE", path="/v1/invoiceitems/{}", parameters=InvoiceItemDeleteParams, answer=delete_item),
]
