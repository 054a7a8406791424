"""How a checkout session is completed: what its page takes is tried, and the objects are made that it is for.

A card that asks its holder stops here until `authenticated` goes on. A session that is declined stays open.
"""

from __future__ import annotations

from typing import Final

from faregate.providers.sandbox.asking import Asked, Sandbox
from faregate.providers.sandbox.checkout import SESSION, moved, wishes_of
from faregate.providers.sandbox.customers import make_customer
from faregate.providers.sandbox.faults import Declined, Json, refused
from faregate.providers.sandbox.intents import raise_decline
from faregate.providers.sandbox.invoice_items import new_item
from faregate.providers.sandbox.paying import SETTLES, agree, attempt, settle
from faregate.providers.sandbox.payment_intents import new_intent
from faregate.providers.sandbox.payment_methods import decline_of
from faregate.providers.sandbox.setup_intents import attempt_setup, new_setup
from faregate.providers.sandbox.subscriptions import subscribe

_PAID: Final = "succeeded"


def pay_session(sandbox: Sandbox, body: Json, method: Json, *, email: str | None, name: str | None) -> Json:
    """Try to complete an open session with a payment method; raises `Declined`, and the session stays open.

    Returns the session: complete, or open where the holder is asked first.
    """
    if body["status"] != "open":
        raise refused(f"This Checkout Session is {body['status']}.")
    body = _with_customer(sandbox, body, email=email, name=name)
    if body["mode"] == "payment":
        return _pay(sandbox, body, method)
    if body["amount_total"]:
        decline = decline_of(sandbox, method)
        if decline is not None:
            raise Declined(decline.message, code=decline.code, decline_code=decline.decline_code, objects={})
    return _set_up(sandbox, body, method)


def authenticated(sandbox: Sandbox, intent: Json) -> None:
    """Go on with the session of an intent whose holder was asked, if there is one and it said yes."""
    kind = intent["object"]
    for body in sandbox.store.find(SESSION, kind, intent["id"]):
        if body["status"] == "open" and intent["status"] in {_PAID, "processing"}:
            _complete(sandbox, body, intent)


def payment_ended(sandbox: Sandbox, identifier: str) -> None:
    """End a payment that was on its way, and tell the session that it is of."""
    intent = settle(sandbox, sandbox.store.get("payment_intent", identifier))
    is_paid = intent["status"] == _PAID
    for body in sandbox.store.find(SESSION, "payment_intent", identifier):
        event = f"checkout.session.async_payment_{'succeeded' if is_paid else 'failed'}"
        moved(sandbox, body | {"payment_status": "paid" if is_paid else "unpaid"}, event=event)


def _pay(sandbox: Sandbox, body: Json, method: Json) -> Json:
    if body["payment_intent"] is None:
        wished = wishes_of(body)["payment_intent_data"]
        sent = {"amount": body["amount_total"], "currency": body["currency"], "customer": body["customer"]}
        intent = new_intent(sandbox, sent | wished)
        body = moved(sandbox, body | {"payment_intent": intent["id"]}, event=None)
    else:
        intent = sandbox.store.get("payment_intent", body["payment_intent"])
    after = attempt(sandbox, intent, method, off_session=False, return_url=body["url"])
    raise_decline(after)
    return body if after["status"] == "requires_action" else _complete(sandbox, body, after)


def _set_up(sandbox: Sandbox, body: Json, method: Json) -> Json:
    wishes = wishes_of(body)
    if wishes["setup"] is None:
        setup = new_setup(sandbox, {"customer": body["customer"]} | wishes["setup_intent_data"])
        sandbox.store.index(body, setup_intent=setup["id"])
        shown = setup["id"] if body["mode"] == "setup" else None
        body = moved(sandbox, body | {"setup_intent": shown, "_wishes": wishes | {"setup": setup["id"]}}, event=None)
    else:
        setup = sandbox.store.get("setup_intent", wishes["setup"])
    after = attempt_setup(sandbox, setup, method, return_url=body["url"])
    raise_decline(after)
    return body if after["status"] == "requires_action" else _complete(sandbox, body, after)


def _complete(sandbox: Sandbox, body: Json, intent: Json) -> Json:
    """Make what is left to be made, and end a session whose payment or setup went well."""
    after = body | {"status": "complete", "url": None}
    if body["mode"] == "payment":
        after["payment_status"] = "paid" if intent["status"] == _PAID else "unpaid"
    if body["mode"] == "subscription":
        after |= _subscribed(sandbox, body, method=intent["payment_method"])
    return moved(sandbox, after, event="checkout.session.completed")


def _subscribed(sandbox: Sandbox, body: Json, *, method: str) -> Json:
    """Make the subscription of a session, its first invoice paid, and return what the session says of it."""
    customer = sandbox.store.get("customer", body["customer"])
    items = []
    for line in body["line_items"]["data"]:
        ordered = {"price": line["price"]["id"]}
        if line["quantity"] is not None:
            ordered["quantity"] = line["quantity"]
        if line["price"]["recurring"] is None:
            amount = {"amount": line["amount_total"], "currency": line["currency"], "description": line["description"]}
            new_item(sandbox, customer, amount)
        else:
            items.append(ordered)
    sent: Json = {"items": items, "default_payment_method": method, "payment_behavior": "error_if_incomplete"}
    if body["automatic_tax"]["enabled"]:
        sent["automatic_tax"] = {"enabled": True}
    if body["amount_total"]:
        agree(sandbox, sandbox.store.get("payment_method", method))
    made = subscribe(sandbox, customer, sent | wishes_of(body)["subscription_data"])
    invoice = sandbox.store.get("invoice", made["latest_invoice"])
    return {
        "amount_subtotal": invoice["subtotal"],
        "amount_total": invoice["total"],
        "invoice": invoice["id"],
        "payment_status": "paid" if invoice["total"] else "no_payment_required",
        "subscription": made["id"],
        "total_details": body["total_details"] | {"amount_tax": sum(one["amount"] for one in invoice["total_taxes"])},
    }


def _with_customer(sandbox: Sandbox, body: Json, *, email: str | None, name: str | None) -> Json:
    """Return a session with who pays: its customer, a new one where that is wanted, or a guest."""
    details: Json = {"address": None, "phone": None, "tax_exempt": "none", "tax_ids": []}
    if body["customer"] is not None:
        customer = sandbox.store.get("customer", body["customer"])
        return body | {"customer_details": details | {"email": customer["email"], "name": customer["name"]}}
    email = body["customer_email"] or email
    body = body | {"customer_details": details | {"email": email, "name": name}}
    is_kept = wishes_of(body)["payment_intent_data"].get("setup_future_usage") is not None
    if body["mode"] != "subscription" and body["customer_creation"] != "always" and not is_kept:
        return body
    sent = {"email": email, "name": name} if name else {"email": email}
    customer = make_customer(sandbox, Asked(url="/v1/customers", ids=(), parameters=sent))
    return body | {"customer": customer["id"]}


WORKS = {SETTLES: payment_ended}
