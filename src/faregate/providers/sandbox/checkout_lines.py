"""What a checkout session is for: prices that exist or are made for it, times a quantity."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from faregate.providers.sandbox.asking import Asked, Sandbox, refuse_others
from faregate.providers.sandbox.faults import Json, lacking, refused
from faregate.providers.sandbox.prices import make_price
from faregate.providers.sandbox.products import make_product

_KNOWN: Final = frozenset({"metadata", "price", "price_data", "quantity"})


def session_lines(sandbox: Sandbox, sent: Json) -> list[Json]:
    """Return the lines of a new session; raises `StripeFault` for what its mode does not have."""
    mode, wanted = sent["mode"], sent.get("line_items", [])
    if mode == "setup":
        if wanted:
            raise refused("You can not pass `line_items` in `setup` mode.", param="line_items")
        return []
    if not wanted:
        raise lacking("line_items")
    lines = [_line(sandbox, line, at=f"line_items[{place}]") for place, line in enumerate(wanted)]
    recurring = [line["price"]["recurring"] for line in lines if line["price"]["recurring"] is not None]
    if mode == "payment" and recurring:
        message = (
            "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use"
            " only one-time prices."
        )
        raise refused(message, param="line_items")
    if mode == "subscription" and not recurring:
        message = "You must provide at least one recurring price in `subscription` mode when using prices."
        raise refused(message, param="line_items")
    if len({(each["interval"], each["interval_count"]) for each in recurring}) > 1:
        message = "Checkout does not support multiple prices with different billing intervals."
        raise refused(message, param="line_items")
    if len({line["currency"] for line in lines}) > 1:
        raise refused("All prices on a Checkout Session must have the same currency.", param="line_items")
    return lines


def _line(sandbox: Sandbox, sent: Json, *, at: str) -> Json:
    refuse_others(sent, _KNOWN, "a line of a checkout session")
    if ("price" in sent) is ("price_data" in sent):
        raise refused(f"Set exactly one of `price` and `price_data` in `{at}`.", param=at)
    if "price" in sent:
        price = sandbox.store.get("price", sent["price"], param=f"{at}[price]")
        if not price["active"]:
            message = "The price specified is inactive. This field only accepts active prices."
            raise refused(message, param=f"{at}[price]")
    else:
        price = _made_for_it(sandbox, sent["price_data"], at=f"{at}[price_data]")
    quantity = _quantity(price, sent, at=at)
    product = sandbox.store.get("product", price["product"])
    amount = 0 if quantity is None else _amount(price, quantity, at=at)
    return {
        "id": sandbox.new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": product["name"],
        "metadata": sent.get("metadata", {}),
        "price": price,
        "quantity": quantity,
    }


def _quantity(price: Json, sent: Json, *, at: str) -> int | None:
    is_metered = price["recurring"] is not None and price["recurring"]["usage_type"] == "metered"
    if is_metered:
        if "quantity" in sent:
            message = f"Quantity should not be specified where usage_type is `metered`. Remove quantity from `{at}`"
            raise refused(message, param=f"{at}[quantity]")
        return None
    if "quantity" not in sent:
        raise refused(f"Quantity is required. Add `quantity` to `{at}`", param=f"{at}[quantity]")
    quantity: int = sent["quantity"]
    if quantity < 1:
        message = "This value must be greater than or equal to 1."
        raise refused(message, param=f"{at}[quantity]", code="parameter_invalid_integer")
    return quantity


def _amount(price: Json, quantity: int, *, at: str) -> int:
    if price["billing_scheme"] != "per_unit" or price["transform_quantity"] is not None:
        raise refused("The sandbox's checkout takes prices by unit, without tiers and packages", param=f"{at}[price]")
    exact = Decimal(price["unit_amount_decimal"]) * quantity
    return int(exact.to_integral_value(ROUND_HALF_UP))


def _made_for_it(sandbox: Sandbox, sent: Json, *, at: str) -> Json:
    """Make a price, and a product if it is described, that nobody else is to buy by."""
    if ("product" in sent) is ("product_data" in sent):
        raise refused(f"Set exactly one of `product` and `product_data` in `{at}`.", param=at)
    fields = {name: value for name, value in sent.items() if name != "product_data"}
    if "product_data" in sent:
        product = make_product(sandbox, Asked(url="/v1/products", ids=(), parameters=sent["product_data"]))
        fields["product"] = product["id"]
    return make_price(sandbox, Asked(url="/v1/prices", ids=(), parameters=fields | {"active": False}))
