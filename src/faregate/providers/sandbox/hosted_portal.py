"""The portal's page: a customer's cards, subscriptions and invoices, as far as its configuration lets them."""

from __future__ import annotations

from typing import Final

from faregate.providers.sandbox.asking import Asked, Sandbox
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.hosted_base import Form, Hosted, HostedPage, path_of, token_of
from faregate.providers.sandbox.hosted_forms import label_of, money, submitted_method
from faregate.providers.sandbox.hosted_invoice import day
from faregate.providers.sandbox.hosted_setups import make_default, set_up
from faregate.providers.sandbox.payment_methods import require_of_customer
from faregate.providers.sandbox.portal import CONFIGURATION, PORTAL_SESSION, is_over
from faregate.providers.sandbox.subscriptions import cancel_subscription, change_subscription
from faregate.providers.sandbox.times import in_time_of_owner

_LIVE: Final = frozenset({"active", "past_due", "trialing", "unpaid"})
_INVOICES: Final = 24


def show_portal(sandbox: Sandbox, identifier: str, *, fault: str | None) -> Hosted:
    """Return a portal session's page."""
    body = sandbox.store.get(PORTAL_SESSION, identifier)
    sandbox = in_time_of_owner(sandbox, body)
    if is_over(sandbox, body):
        shown = {"heading": "This page has expired", "back": body["return_url"]}
        return HostedPage(kind="closed", shown=shown, fault=fault)
    customer = sandbox.store.get("customer", body["customer"])
    features = _features_of(sandbox, body)
    default = customer["invoice_settings"]["default_payment_method"]
    shown = {
        "customer": customer["name"] or customer["email"] or customer["id"],
        "methods": [
            {"id": method["id"], "label": label_of(method), "is_default": method["id"] == default}
            for method in sandbox.store.find("payment_method", "customer", customer["id"])
        ],
        "can_pay_otherwise": features["payment_method_update"]["enabled"],
        "subscriptions": _subscriptions(sandbox, customer, features),
        "can_cancel": features["subscription_cancel"]["enabled"],
        "invoices": _invoices(sandbox, customer) if features["invoice_history"]["enabled"] else None,
        "back": body["return_url"],
        "action": path_of(sandbox, "portal", identifier),
        "token": token_of(sandbox, identifier),
    }
    return HostedPage(kind="portal", shown=shown, fault=fault)


def submit_portal(sandbox: Sandbox, identifier: str, form: Form) -> str | None:
    """Do what a customer asks for; return where their card's holder is asked first, if they are."""
    body = sandbox.store.get(PORTAL_SESSION, identifier)
    sandbox = in_time_of_owner(sandbox, body)
    if is_over(sandbox, body):
        raise refused("This page has expired.")
    customer = sandbox.store.get("customer", body["customer"])
    features = _features_of(sandbox, body)
    match form.get("do"):
        case "add" if features["payment_method_update"]["enabled"]:
            method = submitted_method(sandbox, form, customer=customer["id"], email=customer["email"])
            return set_up(sandbox, customer, method, then={"default": True}, return_url=body["url"])
        case "default" if features["payment_method_update"]["enabled"]:
            method = require_of_customer(sandbox, form.get("method", ""), customer, param="method")
            make_default(sandbox, customer["id"], method["id"])
        case "cancel" | "keep" as wish if features["subscription_cancel"]["enabled"]:
            _cancel(sandbox, _own(sandbox, customer, form), features["subscription_cancel"], wish=wish)
        case "switch" if features["subscription_update"]["enabled"]:
            _switch(sandbox, _own(sandbox, customer, form), features["subscription_update"], form=form)
        case _:
            raise refused("This page does not let you do that.")
    return None


def _features_of(sandbox: Sandbox, body: Json) -> Json:
    features: Json = sandbox.store.get(CONFIGURATION, body["configuration"])["features"]
    return features


def _subscriptions(sandbox: Sandbox, customer: Json, features: Json) -> list[Json]:
    found = sandbox.store.find("subscription", "customer", customer["id"])
    return [_subscription(sandbox, body, features) for body in found if body["status"] in _LIVE]


def _subscription(sandbox: Sandbox, body: Json, features: Json) -> Json:
    items = body["items"]["data"]
    ends = body["cancel_at"] or (items[0]["current_period_end"] if body["cancel_at_period_end"] else None)
    return {
        "id": body["id"],
        "status": body["status"].replace("_", " "),
        "renews_on": day(items[0]["current_period_end"]),
        "ends_on": None if ends is None else day(ends),
        "items": [_price_name(sandbox, item["price"]) for item in items],
        "switches": [
            {"item": item["id"], "from": _price_name(sandbox, item["price"]), "to": choices}
            for item in items
            if (choices := _choices(sandbox, item["price"], features["subscription_update"]))
        ],
    }


def _choices(sandbox: Sandbox, price: Json, update: Json) -> list[Json]:
    """Return the prices that an item can be switched to."""
    if not update["enabled"] or "price" not in update["default_allowed_updates"]:
        return []
    allowed = {identifier: product for product in update["products"] for identifier in product["prices"]}
    if price["id"] not in allowed and price["product"] not in {one["product"] for one in update["products"]}:
        return []
    others = [sandbox.store.get("price", identifier) for identifier in allowed if identifier != price["id"]]
    return [{"id": other["id"], "name": _price_name(sandbox, other)} for other in others]


def _price_name(sandbox: Sandbox, price: Json) -> str:
    product = sandbox.store.get("product", price["product"])["name"]
    nickname = f", {price['nickname']}" if price["nickname"] else ""
    if price["unit_amount"] is None:
        return f"{product}{nickname}"
    amount = money(price["unit_amount"], price["currency"])
    return f"{product}{nickname}: {amount} a {price['recurring']['interval']}"


def _invoices(sandbox: Sandbox, customer: Json) -> list[Json]:
    found = sandbox.store.find("invoice", "customer", customer["id"])
    return [
        {
            "number": invoice["number"],
            "made_on": day(invoice["created"]),
            "total": money(invoice["total"], invoice["currency"]),
            "status": invoice["status"],
            "url": path_of(sandbox, "invoices", invoice["id"]),
        }
        for invoice in found[:_INVOICES]
        if invoice["status"] != "draft"
    ]


def _own(sandbox: Sandbox, customer: Json, form: Form) -> Json:
    body = sandbox.store.get("subscription", form.get("subscription", ""), param="subscription")
    if body["customer"] != customer["id"] or body["status"] not in _LIVE:
        raise refused("This subscription is not yours, or has ended.", param="subscription")
    return body


def _cancel(sandbox: Sandbox, body: Json, feature: Json, *, wish: str) -> None:
    url = f"/v1/subscriptions/{body['id']}"
    if feature["mode"] == "immediately":
        if wish == "cancel":
            sent = {"prorate": feature["proration_behavior"] != "none"}
            cancel_subscription(sandbox, Asked(url=url, ids=(body["id"],), parameters=sent))
        return
    sent = {"cancel_at_period_end": wish == "cancel"}
    change_subscription(sandbox, Asked(url=url, ids=(body["id"],), parameters=sent))


def _switch(sandbox: Sandbox, body: Json, update: Json, *, form: Form) -> None:
    for item in body["items"]["data"]:
        allowed = [choice["id"] for choice in _choices(sandbox, item["price"], update)]
        if item["id"] == form.get("item") and form.get("price") in allowed:
            changed_item: Json = {"id": item["id"], "price": form["price"]}
            sent = {"items": [changed_item], "proration_behavior": update["proration_behavior"]}
            url = f"/v1/subscriptions/{body['id']}"
            change_subscription(sandbox, Asked(url=url, ids=(body["id"],), parameters=sent))
            return
    raise refused("This subscription can't be switched to that.", param="price")
