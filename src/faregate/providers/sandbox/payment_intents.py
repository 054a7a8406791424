"""Payment intents: a payment from its first try to its end (docs.stripe.com/api/payment_intents)."""

from __future__ import annotations

from typing import Final

from stripe.params._payment_intent_cancel_params import PaymentIntentCancelParams
from stripe.params._payment_intent_confirm_params import PaymentIntentConfirmParams
from stripe.params._payment_intent_create_params import PaymentIntentCreateParams
from stripe.params._payment_intent_list_params import PaymentIntentListParams
from stripe.params._payment_intent_retrieve_params import PaymentIntentRetrieveParams
from stripe.params._payment_intent_update_params import PaymentIntentUpdateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    known_currency,
    listed,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Declined, Json, refused
from faregate.providers.sandbox.intents import OPEN, changed_intent, raise_decline, with_method
from faregate.providers.sandbox.paying import attempt
from faregate.providers.sandbox.payment_methods import (
    default_payment_method,
    payment_method_named,
)
from faregate.providers.sandbox.times import in_time_of, in_time_of_owner

_NOTED: Final = (
    "customer",
    "description",
    "receipt_email",
    "setup_future_usage",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
)
_CONFIRMING: Final = frozenset({"error_on_requires_action", "off_session", "return_url", "use_stripe_sdk"})
_CHANGED: Final = frozenset({"amount", "currency", "metadata", "payment_method", *_NOTED})
_KNOWN: Final = (
    _CHANGED | _CONFIRMING | {"automatic_payment_methods", "capture_method", "confirm", "confirmation_method"}
)
_NOTES: Final = frozenset({"description", "metadata", "receipt_email"})
"""What can be changed of a payment that has ended."""

_OF_PLATFORMS: Final = (
    "application",
    "application_fee_amount",
    "on_behalf_of",
    "payment_method_configuration_details",
    "review",
    "source",
    "transfer_data",
    "transfer_group",
)
"""Shown, and always empty here."""

_LEAST: Final = {"usd": 50, "eur": 50, "gbp": 30, "cad": 50, "aud": 50, "chf": 50, "jpy": 50, "sek": 300, "dkk": 250}
_MOST: Final = 99_999_999
_STATE: Final = "payment_intent_unexpected_state"


def make_intent(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a payment intent, and try to take the payment where `confirm` says so."""
    sent = asked.parameters
    refuse_others(sent, _KNOWN, "a payment intent")
    if sent.get("capture_method") == "manual":
        raise refused("The sandbox captures automatically alone", param="capture_method")
    if sent.get("confirmation_method") == "manual":
        raise refused("The sandbox confirms automatically alone", param="confirmation_method")
    if not sent.get("confirm"):
        for name in ("off_session", "return_url", "error_on_requires_action"):
            if name in sent:
                message = f"The parameter `{name}` cannot be passed when creating a PaymentIntent"
                raise refused(f"{message} unless `confirm` is set to true.", param=name)
    require_amount(sent["amount"], sent["currency"])
    if sent.get("customer") is not None:
        sandbox = in_time_of(sandbox, live_customer(sandbox, sent["customer"]))
    body = new_intent(sandbox, sent)
    if "payment_method" in sent:
        body = _with_method(sandbox, body, sent["payment_method"])
    return _confirmed(sandbox, body, sent) if sent.get("confirm") else body


def change_intent(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a payment intent: all of it before the payment, afterwards what is noted on it."""
    body, sent = sandbox.store.get("payment_intent", asked.ids[0]), asked.parameters
    refuse_others(sent, _CHANGED, "a payment intent that exists")
    if body["status"] not in OPEN:
        for name in sorted(sent.keys() - _NOTES):
            message = f"This PaymentIntent's {name} could not be updated because it has a status of {body['status']}."
            raise refused(message, param=name, code=_STATE)
    if "amount" in sent or "currency" in sent:
        wanted = body | sent
        require_amount(wanted["amount"], wanted["currency"])
    if "currency" in sent:
        sent = sent | {"currency": sent["currency"].lower()}
    body = changed_intent(sandbox, body, sent)
    return _with_method(sandbox, body, sent["payment_method"]) if "payment_method" in sent else body


def confirm_intent(sandbox: Sandbox, asked: Asked) -> Json:
    """Try to take the payment; raises `Declined` with the intent as it stays where that fails."""
    body, sent = sandbox.store.get("payment_intent", asked.ids[0]), asked.parameters
    refuse_others(sent, _CONFIRMING | {"payment_method", "receipt_email", "setup_future_usage"}, "a confirmation")
    _require_state(body, OPEN, "confirm")
    sandbox = in_time_of_owner(sandbox, body)
    body = body | {name: sent[name] for name in ("receipt_email", "setup_future_usage") if name in sent}
    if "payment_method" in sent:
        body = _with_method(sandbox, body, sent["payment_method"])
    return _confirmed(sandbox, body, sent)


def cancel_intent(sandbox: Sandbox, asked: Asked) -> Json:
    """Give a payment up."""
    body = sandbox.store.get("payment_intent", asked.ids[0])
    _require_state(body, OPEN, "cancel")
    return cancel(in_time_of_owner(sandbox, body), body, reason=asked.parameters.get("cancellation_reason"))


def cancel(sandbox: Sandbox, body: Json, *, reason: str | None) -> Json:
    """Give a payment that has not ended up, and tell of it."""
    after = body | {
        "status": "canceled",
        "canceled_at": sandbox.now(),
        "cancellation_reason": reason,
        "next_action": None,
    }
    sandbox.store.put(after)
    sandbox.tell("payment_intent.canceled", after)
    return after


def list_intents(sandbox: Sandbox, asked: Asked) -> Json:
    """List payment intents."""
    return listed(sandbox, asked, "payment_intent", names=("customer",))


def charge_off_session(
    sandbox: Sandbox,
    *,
    customer: Json,
    amount: int,
    currency: str,
    description: str | None,
    invoice: str | None,
    at: int,
    method: str | None = None,
) -> Json:
    """Take a payment from a customer who is not there, by their default payment method or by `method`.

    Returns the intent: `succeeded`, or `requires_payment_method` with `last_payment_error`, which is None where there
    is nothing to pay with. It is found by its `invoice`. A bank account pays at once here.
    """
    sent = {"amount": amount, "currency": currency, "customer": customer["id"], "description": description}
    sandbox = sandbox.at(at)
    body = new_intent(sandbox, sent)
    sandbox.store.index(body, invoice=invoice)
    named = default_payment_method(sandbox, customer)
    if method is not None:
        named = sandbox.store.get("payment_method", method)
    if named is None:
        return body
    return attempt(sandbox, body, named, off_session=True, waits=False)


def new_intent(sandbox: Sandbox, sent: Json) -> Json:
    """Keep a payment intent without a payment method, and tell of it."""
    identifier = sandbox.new_id("pi")
    body: Json = {
        "id": identifier,
        "object": "payment_intent",
        "amount": sent["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True}
        | sent.get("automatic_payment_methods", {}),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": sent.get("capture_method", "automatic_async"),
        "client_secret": f"{identifier}_secret_{sandbox.new_id('s')[2:]}",
        "confirmation_method": "automatic",
        "created": sandbox.now(),
        "currency": sent["currency"].lower(),
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": sent.get("metadata", {}),
        "next_action": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": ["card", "us_bank_account"],
        "processing": None,
        "status": "requires_payment_method",
    }
    body |= dict.fromkeys(_OF_PLATFORMS) | {name: sent.get(name) for name in _NOTED}
    sandbox.store.add(body, customer=body["customer"])
    sandbox.tell("payment_intent.created", body)
    return body


def require_amount(amount: int, code: str) -> None:
    """Raise `StripeFault` for a payment that Stripe would not take."""
    code = known_currency(code)
    least = _LEAST.get(code, 1)
    if amount < 1:
        raise refused(
            "This value must be greater than or equal to 1.", param="amount", code="parameter_invalid_integer"
        )
    if amount < least:
        message = f"Amount must be at least {least} {code}, in the currency's smallest unit."
        raise refused(message, param="amount", code="amount_too_small")
    if amount > _MOST:
        raise refused(f"Amount must be no more than {_MOST}.", param="amount", code="amount_too_large")


def _with_method(sandbox: Sandbox, body: Json, name: str) -> Json:
    """Set what is to be paid with: something of the intent's customer, or something that is nobody's."""
    method = payment_method_named(sandbox, name, param="payment_method")
    if method["customer"] not in {None, body["customer"]}:
        message = (
            f"The customer does not have a payment method with the ID {method['id']}. The payment method supplied,"
            f" {method['id']}, belongs to the Customer {method['customer']}. Please include the Customer in the"
            " `customer` parameter on the PaymentIntent."
        )
        raise refused(message, param="payment_method")
    return with_method(sandbox, body, method)


def _confirmed(sandbox: Sandbox, body: Json, sent: Json) -> Json:
    if body["payment_method"] is None:
        message = (
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the"
            " PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a"
            " payment method or ConfirmationToken."
        )
        raise refused(message, code=_STATE)
    method = sandbox.store.get("payment_method", body["payment_method"])
    off_session = sent.get("off_session") in {True, "one_off", "recurring"}
    return_url = sent.get("return_url")
    after = attempt(sandbox, body, method, off_session=off_session, return_url=return_url)
    if after["status"] == "requires_action" and sent.get("error_on_requires_action"):
        message = "This payment required an authentication action to complete, but `error_on_requires_action` was set."
        objects = {"payment_intent": after, "payment_method": method}
        raise Declined(message, code="authentication_required", decline_code=None, objects=objects)
    raise_decline(after)
    return after


def _require_state(body: Json, states: tuple[str, ...], verb: str) -> None:
    if body["status"] not in states:
        message = (
            f"You cannot {verb} this PaymentIntent because it has a status of {body['status']}. Only a PaymentIntent"
            f" with one of the following statuses may be {verb}ed: {', '.join(states)}."
        )
        raise refused(message, code=_STATE)


_ONE: Final = "/v1/payment_intents/{}"
ROUTES = [
    Route(method="POST", path="/v1/payment_intents", parameters=PaymentIntentCreateParams, answer=make_intent),
    Route(method="GET", path="/v1/payment_intents", parameters=PaymentIntentListParams, answer=list_intents),
    Route(method="GET", path=_ONE, parameters=PaymentIntentRetrieveParams, answer=retrieved("payment_intent")),
    Route(method="POST", path=_ONE, parameters=PaymentIntentUpdateParams, answer=change_intent),
    Route(method="POST", path=f"{_ONE}/confirm", parameters=PaymentIntentConfirmParams, answer=confirm_intent),
    Route(method="POST", path=f"{_ONE}/cancel", parameters=PaymentIntentCancelParams, answer=cancel_intent),
]
