"""Prices: made once, then only archived or renamed (docs.stripe.com/api/prices)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from stripe.params._price_create_params import PriceCreateParams
from stripe.params._price_list_params import PriceListParams
from stripe.params._price_retrieve_params import PriceRetrieveParams
from stripe.params._price_update_params import PriceUpdateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    changed,
    is_as_sent,
    known_currency,
    page_of,
    retrieved,
)
from faregate.providers.sandbox.faults import Json, lacking, refused

_MOST_PLACES: Final = 12
_RECURRING: Final[Json] = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}


def make_price(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a price of a product."""
    sent = asked.parameters
    if "product" not in sent:
        raise lacking("product")
    sandbox.store.get("product", sent["product"], param="product")
    code = known_currency(sent["currency"])
    recurring = _recurring(sandbox, sent.get("recurring"))
    body: Json = {
        "id": sandbox.new_id("price"),
        "object": "price",
        "active": sent.get("active", True),
        "billing_scheme": sent.get("billing_scheme", "per_unit"),
        "created": sandbox.now(),
        "currency": code,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": None,
        "metadata": sent.get("metadata", {}),
        "nickname": sent.get("nickname"),
        "product": sent["product"],
        "recurring": recurring,
        "tax_behavior": sent.get("tax_behavior", "unspecified"),
        "tiers_mode": sent.get("tiers_mode"),
        "transform_quantity": sent.get("transform_quantity"),
        "type": "one_time" if recurring is None else "recurring",
    } | _amounts(sent)
    sandbox.store.add(body, product=body["product"])
    if "lookup_key" in sent:
        body = _take_lookup_key(sandbox, body, sent["lookup_key"], transfer=sent.get("transfer_lookup_key", False))
    sandbox.tell("price.created", body)
    return body


def change_price(sandbox: Sandbox, asked: Asked) -> Json:
    """Change what can be changed of a price: never what it costs."""
    body = sandbox.store.get("price", asked.ids[0])
    fields = {name: value for name, value in asked.parameters.items() if name != "transfer_lookup_key"}
    if fields.get("tax_behavior", body["tax_behavior"]) != body["tax_behavior"] != "unspecified":
        raise refused("You cannot change `tax_behavior` once it is set.", param="tax_behavior")
    if "lookup_key" in fields:
        transfer = asked.parameters.get("transfer_lookup_key", False)
        body = _take_lookup_key(sandbox, body, fields.pop("lookup_key"), transfer=transfer)
    return changed(sandbox, body, fields, event="price.updated")


def list_prices(sandbox: Sandbox, asked: Asked) -> Json:
    """List prices."""
    sent = asked.parameters
    keys = set(sent.get("lookup_keys", []))

    def wanted(body: Json) -> bool:
        return (not keys or body["lookup_key"] in keys) and is_as_sent(
            body, sent, "active", "product", "currency", "type"
        )

    return page_of(asked, sandbox.store.newest_first("price"), wanted)


def _take_lookup_key(sandbox: Sandbox, body: Json, key: str | None, *, transfer: bool) -> Json:
    """Let a price be found by a key; another's only where it is to be taken over."""
    for holder in sandbox.store.find("price", "lookup_key", key) if key else []:
        if holder["id"] == body["id"]:
            continue
        if not transfer:
            message = f"A price (`{holder['id']}`) already uses that lookup key."
            raise refused(message, param="lookup_key", code="resource_already_exists")
        sandbox.store.put(holder | {"lookup_key": None})
        sandbox.store.index(holder, lookup_key=None)
        sandbox.tell("price.updated", holder | {"lookup_key": None}, {"lookup_key": key})
    body = body | {"lookup_key": key or None}
    sandbox.store.put(body)
    sandbox.store.index(body, lookup_key=key or None)
    return body


def _recurring(sandbox: Sandbox, sent: Json | None) -> Json | None:
    if sent is None:
        return None
    recurring = _RECURRING | sent
    if recurring["usage_type"] == "metered":
        if recurring["meter"] is None:
            # Since 2025-03-31.basil metered prices are backed by a meter.
            raise refused("Metered prices must have a meter.", param="recurring[meter]", code="parameter_missing")
        meter = sandbox.store.get("billing.meter", recurring["meter"], param="recurring[meter]")
        if meter["status"] != "active":
            raise refused(f"The meter {meter['id']} is not active.", param="recurring[meter]")
    elif recurring["meter"] is not None:
        raise refused("Only metered prices can have a meter.", param="recurring[meter]")
    return recurring


def _amounts(sent: Json) -> Json:
    """Return the unit amount or the tiers, checked as a whole."""
    if sent.get("billing_scheme") == "tiered":
        for name in ("unit_amount", "unit_amount_decimal", "transform_quantity"):
            if name in sent:
                raise refused(f"You cannot set `{name}` with `billing_scheme=tiered`.", param=name)
        for name in ("tiers", "tiers_mode"):
            if not sent.get(name):
                message = f"`{name}` is required with `billing_scheme=tiered`."
                raise refused(message, param=name, code="parameter_missing")
        return {"unit_amount": None, "unit_amount_decimal": None, "tiers": _tiers(sent["tiers"])}
    for name in ("tiers", "tiers_mode"):
        if name in sent:
            raise refused(f"You can set `{name}` only with `billing_scheme=tiered`.", param=name)
    amount = _amount(sent, "unit_amount", at="")
    if amount is None:
        raise refused("Set `unit_amount` or `unit_amount_decimal`.", param="unit_amount", code="parameter_missing")
    return amount


def _tiers(sent: list[Json]) -> list[Json]:
    tiers = []
    last: int = 0
    for place, tier in enumerate(sent):
        at = f"tiers[{place}]"
        is_last = place == len(sent) - 1
        up_to: Any = tier["up_to"]
        if (up_to == "inf") is not is_last or (not is_last and up_to <= last):
            raise refused("Tiers must ascend, and the last must be up to `inf`.", param=f"{at}[up_to]")
        unit, flat = _amount(tier, "unit_amount", at=at), _amount(tier, "flat_amount", at=at)
        if unit is None and flat is None:
            raise refused("A tier needs a unit amount or a flat amount.", param=at, code="parameter_missing")
        nothing = {"unit_amount": None, "unit_amount_decimal": None, "flat_amount": None, "flat_amount_decimal": None}
        tiers.append(nothing | (unit or {}) | (flat or {}) | {"up_to": None if is_last else up_to})
        last = 0 if is_last else up_to
    return tiers


def _amount(sent: Json, name: str, *, at: str) -> Json | None:
    """Return an amount in both of its forms; None where neither was sent."""
    exact = f"{name}_decimal"
    full = f"{at}[{exact}]" if at else exact
    if name in sent and exact in sent:
        raise refused(f"Set only one of `{name}` and `{exact}`.", param=full)
    if name not in sent and exact not in sent:
        return None
    number = Decimal(sent[name]) if name in sent else sent[exact]
    exponent = number.as_tuple().exponent
    if number < 0 or (isinstance(exponent, int) and -exponent > _MOST_PLACES):
        raise refused(f"Invalid decimal: must not be negative, with at most {_MOST_PLACES} places", param=full)
    whole = int(number) if number == number.to_integral_value() else None
    return {name: whole, exact: f"{number.normalize():f}"}


ROUTES = [
    Route(method="POST", path="/v1/prices", parameters=PriceCreateParams, answer=make_price),
    Route(method="GET", path="/v1/prices", parameters=PriceListParams, answer=list_prices),
    Route(method="GET", path="/v1/prices/{}", parameters=PriceRetrieveParams, answer=retrieved("price")),
    Route(method="POST", path="/v1/prices/{}", parameters=PriceUpdateParams, answer=change_price),
]
