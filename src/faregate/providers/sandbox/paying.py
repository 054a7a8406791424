"""How a payment goes: tried, asked about, on its way, taken or declined (docs.stripe.com/payments/paymentintents).

requires_payment_method -> requires_confirmation -> requires_action | processing -> succeeded | requires_payment_method
"""

from __future__ import annotations

from typing import Final

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.cards import AUTHENTICATION_REQUIRED, Authentication, Decline, card_of_fingerprint
from faregate.providers.sandbox.charges import make_charge, settle_charge
from faregate.providers.sandbox.disputes import open_dispute
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.intents import asking, failed, intent_error, moved
from faregate.providers.sandbox.payment_methods import attach, decline_of
from faregate.providers.sandbox.times import plan_for_owner

SETTLES: Final = "payment.settles"
"""A payment that was on its way ends."""

_SETTLES_AFTER_S: Final = 60
_NOT_AUTHENTICATED: Final = "payment_intent_authentication_failure"
_NOT_AUTHENTICATED_MESSAGE: Final = (
    "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod"
    " to attempt to fulfill this PaymentIntent again."
)


def attempt(
    sandbox: Sandbox,
    intent: Json,
    method: Json,
    *,
    off_session: bool,
    return_url: str | None = None,
    waits: bool = True,
) -> Json:
    """Try to take a payment, and return the intent as it is then; a decline is in its `last_payment_error`.

    `waits`: whether a payment from a bank account is on its way for a while.
    """
    intent = intent | {"payment_method": method["id"], "payment_method_types": [method["type"]]}
    if asks_holder(sandbox, method, off_session=off_session):
        if off_session:
            return _failed(sandbox, intent, method, decline=AUTHENTICATION_REQUIRED)
        return asking(sandbox, intent, return_url=return_url)
    return _charged(sandbox, intent, method, waits=waits)


def authenticate(sandbox: Sandbox, intent: Json, *, confirmed: bool) -> Json:
    """Go on with a payment whose holder was asked, and said yes or no."""
    method = sandbox.store.get("payment_method", intent["payment_method"])
    if confirmed:
        return _charged(sandbox, intent | {"next_action": None}, method)
    error = intent_error(_NOT_AUTHENTICATED, _NOT_AUTHENTICATED_MESSAGE, method, kind="invalid_request_error")
    return failed(sandbox, intent, error)


def settle(sandbox: Sandbox, intent: Json) -> Json:
    """End a payment that was on its way from a bank account."""
    method = sandbox.store.get("payment_method", intent["payment_method"])
    charge = sandbox.store.get("charge", intent["latest_charge"])
    decline = decline_of(sandbox, method)
    settle_charge(sandbox, charge, decline=decline)
    if decline is None:
        return _succeeded(sandbox, intent, method, charge=charge["id"])
    return _failed_with(sandbox, intent, method, decline=decline, charge=charge["id"])


def agree(sandbox: Sandbox, method: Json) -> None:
    """Note that a card's holder was there just now: the next payment asks them nothing."""
    sandbox.store.index(method, agreed=method["id"])


def asks_when_set_up(method: Json) -> bool:
    """Return whether a card's holder is asked when it is set up."""
    if method["type"] != "card":
        return False
    kind = card_of_fingerprint(method["card"]["fingerprint"]).authentication
    return kind in {Authentication.ALWAYS, Authentication.UNLESS_SET_UP}


def asks_holder(sandbox: Sandbox, method: Json, *, off_session: bool) -> bool:
    """Return whether a card's holder is asked when a payment is made, in their presence or not."""
    if method["type"] != "card":
        return False
    if off_session and sandbox.store.find("payment_method", "agreed", method["id"]):
        sandbox.store.index(method, agreed=None)
        return False
    kind = card_of_fingerprint(method["card"]["fingerprint"]).authentication
    return (
        kind is Authentication.ALWAYS
        or (kind is Authentication.ON_SESSION and not off_session)
        or (kind is Authentication.UNLESS_SET_UP and not (off_session and _is_set_up(sandbox, method)))
    )


def _is_set_up(sandbox: Sandbox, method: Json) -> bool:
    """Return whether the holder agreed to payments without them, by a setup intent or with an earlier payment."""
    setups = sandbox.store.find("setup_intent", "payment_method", method["id"])
    payments = sandbox.store.find("payment_intent", "payment_method", method["id"])
    return any(body["status"] == "succeeded" for body in setups) or any(
        body["status"] == "succeeded" and body["setup_future_usage"] == "off_session" for body in payments
    )


def _charged(sandbox: Sandbox, intent: Json, method: Json, *, waits: bool = False) -> Json:
    if method["type"] != "card" and waits:
        charge = make_charge(sandbox, intent, method, status="pending", decline=None)
        plan_for_owner(sandbox, SETTLES, intent, after_s=_SETTLES_AFTER_S)
        after = intent | {"status": "processing", "latest_charge": charge["id"], "last_payment_error": None}
        return moved(sandbox, after, event="payment_intent.processing")
    decline = decline_of(sandbox, method)
    if decline is not None:
        return _failed(sandbox, intent, method, decline=decline)
    charge = make_charge(sandbox, intent, method, status="succeeded", decline=None)
    after = _succeeded(sandbox, intent, method, charge=charge["id"])
    if method["type"] == "card":
        card = card_of_fingerprint(method["card"]["fingerprint"])
        if card.dispute is not None:
            open_dispute(sandbox, charge, reason=card.dispute, is_inquiry=card.is_inquiry)
    return after


def _succeeded(sandbox: Sandbox, intent: Json, method: Json, *, charge: str) -> Json:
    after = intent | {
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "latest_charge": charge,
        "next_action": None,
        "status": "succeeded",
    }
    after = moved(sandbox, after, event="payment_intent.succeeded")
    if intent["customer"] is not None and intent["setup_future_usage"] is not None:
        attach(sandbox, method, sandbox.store.get("customer", intent["customer"]))
    elif method["customer"] is None:
        sandbox.store.index(method, was_used=method["id"])
    return after


def _failed(sandbox: Sandbox, intent: Json, method: Json, *, decline: Decline) -> Json:
    charge = make_charge(sandbox, intent, method, status="failed", decline=decline)
    return _failed_with(sandbox, intent, method, decline=decline, charge=charge["id"])


def _failed_with(sandbox: Sandbox, intent: Json, method: Json, *, decline: Decline, charge: str) -> Json:
    error = intent_error(decline.code, decline.message, method, decline_code=decline.decline_code)
    return failed(sandbox, intent | {"latest_charge": charge}, error | {"charge": charge})
