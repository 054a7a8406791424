"""The lines of an invoice, of its invoice items and its subscription's (docs.stripe.com/api/invoice-line-item).

A draft's lines are made anew whenever it is looked at: a line of usage is what was reported until then. Beside what
Stripe shows, a line has `_slot`, which keeps its id, `_tax_rates`, `_tax_behavior` and `_metered`, its metered price.
"""

from __future__ import annotations

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.rating import RatedPart, rated, used


def sources_of(subscription: Json, *, start: int, end: int, is_metered: bool, is_licensed: bool) -> list[Json]:
    """Return what an invoice of a subscription is for: usage in [start, end), and the coming period's quantities."""
    sources = []
    for item in subscription["items"]["data"]:
        price = item["price"]
        if price["recurring"]["usage_type"] == "metered":
            if is_metered:
                since = max(start, item.get("_usage_since", start))
                sources.append(_source(item, start=since, end=end, quantity=None))
        elif is_licensed:
            source = _source(
                item, start=item["current_period_start"], end=item["current_period_end"], quantity=item["quantity"]
            )
            sources.append(source | {"is_trial": subscription["status"] == "trialing"})
    return sources


def lines_of(sandbox: Sandbox, invoice: Json, items: list[Json]) -> list[Json]:
    """Return an invoice's lines as they are now: those of its invoice items, oldest first, then its subscription's."""
    lines = [item_line(invoice, item) for item in items]
    for source in invoice["_sources"]:
        lines += _subscription_lines(sandbox, invoice, source)
    ids = {line["_slot"]: line["id"] for line in invoice["lines"]["data"]}
    for line in lines:
        line["id"] = ids.get(line["_slot"]) or sandbox.new_id("il")
    return lines


def item_line(invoice: Json, item: Json) -> Json:
    """Return the line of an invoice item."""
    details = (item["parent"] or {}).get("subscription_details") or {}
    of_item = details.get("subscription_item")
    parent = {
        "invoice_item": item["id"],
        "proration": item["proration"],
        "proration_details": None,
        "subscription": details.get("subscription"),
    }
    kind = "subscription_item_details" if of_item else "invoice_item_details"
    return _line(invoice) | {
        "amount": item["amount"],
        "description": item["description"],
        "discountable": item["discountable"],
        "metadata": item["metadata"],
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": None,
            kind: parent | ({"subscription_item": of_item} if of_item else {}),
            "type": kind,
        },
        "period": item["period"],
        "pricing": item["pricing"],
        "quantity": item["quantity"],
        "quantity_decimal": item["quantity_decimal"],
        "subscription": details.get("subscription"),
        "subtotal": item["amount"],
        "_slot": item["id"],
        "_tax_rates": [rate["id"] for rate in item["tax_rates"]],
        "_tax_behavior": item["_tax_behavior"],
        "_metered": item["_metered"],
    }


def priced(price: Json | None, unit_amount_decimal: str | None) -> Json | None:
    """Return `pricing` of a line or an invoice item."""
    if unit_amount_decimal is None and price is None:
        return None
    details = None if price is None else {"price": price["id"], "product": price["product"]}
    return {"price_details": details, "type": "price_details", "unit_amount_decimal": unit_amount_decimal}


def _source(item: Json, *, start: int, end: int, quantity: int | None) -> Json:
    return {
        "subscription": item["subscription"],
        "subscription_item": item["id"],
        "price": item["price"]["id"],
        "start": start,
        "end": end,
        "quantity": quantity,
        "is_trial": False,
        "metadata": item.get("metadata") or {},
        "tax_rates": [rate["id"] for rate in item.get("tax_rates") or []],
    }


def _subscription_lines(sandbox: Sandbox, invoice: Json, source: Json) -> list[Json]:
    price = sandbox.store.get("price", source["price"])
    name = sandbox.store.get("product", price["product"])["name"]
    is_metered = source["quantity"] is None
    quantity = source["quantity"]
    if is_metered:
        customer, start, end = invoice["customer"], source["start"], source["end"]
        quantity = used(sandbox, customer=customer, price=price, start=start, end=end)
    lines = []
    for part in rated(price, quantity):
        amount = 0 if source["is_trial"] else part.amount
        lines.append(
            _line(invoice)
            | {
                "amount": amount,
                "description": _described(part, source, name=name, interval=price["recurring"]["interval"]),
                "metadata": source["metadata"],
                "parent": _parent(source),
                "period": {"start": source["start"], "end": source["end"]},
                "pricing": priced(price, part.unit_amount_decimal),
                "quantity": part.quantity,
                "quantity_decimal": str(part.quantity),
                "subscription": source["subscription"],
                "subtotal": amount,
                "_slot": f"{source['subscription_item']}:{source['start']}:{part.slot}",
                "_tax_rates": source["tax_rates"],
                "_tax_behavior": price["tax_behavior"],
                "_metered": price["id"] if is_metered else None,
            }
        )
    return lines


def _described(part: RatedPart, source: Json, *, name: str, interval: str) -> str:
    if source["is_trial"]:
        return f"Trial period for {name}"
    return f"{part.quantity} \u00d7 {name} ({part.said} / {interval})"


def _parent(source: Json) -> Json:
    return {
        "invoice_item_details": None,
        "subscription_item_details": {
            "invoice_item": None,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": source["subscription"],
            "subscription_item": source["subscription_item"],
        },
        "type": "subscription_item_details",
    }


def _line(invoice: Json) -> Json:
    """Return what every line of an invoice has."""
    return {
        "id": "",
        "object": "line_item",
        "currency": invoice["currency"],
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice["id"],
        "livemode": False,
        "pretax_credit_amounts": [],
        "taxes": [],
    }
