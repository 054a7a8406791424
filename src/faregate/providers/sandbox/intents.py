"""What payment intents and setup intents share: what they are tried with, the question to its holder, a failure."""

from __future__ import annotations

from typing import Final

from faregate.providers.sandbox.asking import Sandbox, merged_metadata
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Declined, Json, doc_url
from faregate.providers.sandbox.payment_methods import refuse_spent

OPEN: Final = ("requires_payment_method", "requires_confirmation", "requires_action")
"""States of an intent that has not ended."""


def changed_intent(sandbox: Sandbox, body: Json, sent: Json) -> Json:
    """Keep what was sent of an intent, but for its payment method: `with_method` keeps that."""
    if sent.get("customer") is not None:
        live_customer(sandbox, sent["customer"])
    fields = {name: value for name, value in sent.items() if name != "payment_method"}
    if "metadata" in fields:
        fields["metadata"] = merged_metadata(body["metadata"], fields["metadata"])
    body = body | fields
    sandbox.store.put(body)
    sandbox.store.index(body, customer=body["customer"])
    return body


def with_method(sandbox: Sandbox, body: Json, method: Json) -> Json:
    """Set what an intent is to be tried with; raises `StripeFault` for what was spent."""
    refuse_spent(sandbox, method)
    body = body | {"payment_method": method["id"], "status": "requires_confirmation", "next_action": None}
    sandbox.store.put(body)
    sandbox.store.index(body, payment_method=method["id"])
    return body


def moved(sandbox: Sandbox, body: Json, *, event: str) -> Json:
    """Keep an intent as it is now, and tell of it."""
    sandbox.store.put(body)
    sandbox.store.index(body, payment_method=body["payment_method"])
    sandbox.tell(event, body)
    return body


def asking(sandbox: Sandbox, body: Json, *, return_url: str | None) -> Json:
    """Let a card's holder be asked, at a page that leads on to `return_url`."""
    url = f"{sandbox.pages_url}/authentication/{body['id']}"
    action = {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}
    after = body | {"status": "requires_action", "next_action": action, _error_field(body): None}
    return moved(sandbox, after, event=f"{body['object']}.requires_action")


def failed(sandbox: Sandbox, body: Json, error: Json) -> Json:
    """Let an intent wait for another payment method, with why it failed by the one it had."""
    after = body | {
        _error_field(body): error,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    return moved(sandbox, after, event=f"{body['object']}.{_aim(body)}_failed")


def error_of(body: Json) -> Json | None:
    """Return why the last attempt failed, if it did."""
    error: Json | None = body[_error_field(body)]
    return error


def intent_error(
    code: str, message: str, method: Json, *, kind: str = "card_error", decline_code: str | None = None
) -> Json:
    """Return what `last_payment_error` and `last_setup_error` show."""
    error = {"code": code, "doc_url": doc_url(code), "message": message, "payment_method": method, "type": kind}
    return error if decline_code is None else error | {"decline_code": decline_code}


def raise_decline(body: Json) -> None:
    """Raise `Declined` for an intent of which the last attempt failed; its error is Stripe's answer."""
    error = error_of(body)
    if body["status"] == "requires_payment_method" and error is not None:
        objects = {"charge": error.get("charge"), body["object"]: body, "payment_method": error["payment_method"]}
        raise Declined(error["message"], code=error["code"], decline_code=error.get("decline_code"), objects=objects)


def _aim(body: Json) -> str:
    """Return what an intent is for, as its fields and events name it: `payment` or `setup`."""
    kind: str = body["object"]
    return kind.removesuffix("_intent")


def _error_field(body: Json) -> str:
    return f"last_{_aim(body)}_error"
