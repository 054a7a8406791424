"""Setup intents: a payment method made ready for payments to come (docs.stripe.com/api/setup_intents)."""

from __future__ import annotations

from typing import Final

from stripe.params._setup_intent_cancel_params import SetupIntentCancelParams
from stripe.params._setup_intent_confirm_params import SetupIntentConfirmParams
from stripe.params._setup_intent_create_params import SetupIntentCreateParams
from stripe.params._setup_intent_list_params import SetupIntentListParams
from stripe.params._setup_intent_retrieve_params import SetupIntentRetrieveParams
from stripe.params._setup_intent_update_params import SetupIntentUpdateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    listed,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.intents import (
    OPEN,
    asking,
    changed_intent,
    failed,
    intent_error,
    moved,
    raise_decline,
    with_method,
)
from faregate.providers.sandbox.paying import asks_when_set_up
from faregate.providers.sandbox.payment_methods import attach, payment_method_named, setup_decline
from faregate.providers.sandbox.times import in_time_of, in_time_of_owner

_CONFIRMING: Final = frozenset({"return_url", "use_stripe_sdk"})
_CHANGED: Final = frozenset({"customer", "description", "metadata", "payment_method"})
_KNOWN: Final = _CHANGED | _CONFIRMING | {"automatic_payment_methods", "confirm", "usage"}
_STATE: Final = "setup_intent_unexpected_state"
_NOT_AUTHENTICATED: Final = "setup_intent_authentication_failure"


def make_setup(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a setup intent, and set the payment method up where `confirm` says so."""
    sent = asked.parameters
    refuse_others(sent, _KNOWN, "a setup intent")
    if sent.get("customer") is not None:
        sandbox = in_time_of(sandbox, live_customer(sandbox, sent["customer"]))
    body = new_setup(sandbox, sent)
    if "payment_method" in sent:
        body = _with_method(sandbox, body, sent["payment_method"])
    return _confirmed(sandbox, body, sent) if sent.get("confirm") else body


def new_setup(sandbox: Sandbox, sent: Json) -> Json:
    """Keep a setup intent without a payment method, and tell of it."""
    identifier = sandbox.new_id("seti")
    body: Json = {
        "id": identifier,
        "object": "setup_intent",
        "application": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True}
        | sent.get("automatic_payment_methods", {}),
        "cancellation_reason": None,
        "client_secret": f"{identifier}_secret_{sandbox.new_id('s')[2:]}",
        "created": sandbox.now(),
        "customer": sent.get("customer"),
        "description": sent.get("description"),
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "livemode": False,
        "mandate": None,
        "metadata": sent.get("metadata", {}),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_options": {},
        "payment_method_types": ["card", "us_bank_account"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": sent.get("usage", "off_session"),
    }
    sandbox.store.add(body, customer=body["customer"])
    sandbox.tell("setup_intent.created", body)
    return body


def change_setup(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a setup intent that has not ended."""
    body, sent = sandbox.store.get("setup_intent", asked.ids[0]), asked.parameters
    refuse_others(sent, _CHANGED, "a setup intent that exists")
    _require_open(body, "update")
    body = changed_intent(sandbox, body, sent)
    return _with_method(sandbox, body, sent["payment_method"]) if "payment_method" in sent else body


def confirm_setup(sandbox: Sandbox, asked: Asked) -> Json:
    """Set a payment method up; raises `Declined` with the intent as it stays where that fails."""
    body, sent = sandbox.store.get("setup_intent", asked.ids[0]), asked.parameters
    refuse_others(sent, _CONFIRMING | {"payment_method"}, "a confirmation")
    _require_open(body, "confirm")
    sandbox = in_time_of_owner(sandbox, body)
    if "payment_method" in sent:
        body = _with_method(sandbox, body, sent["payment_method"])
    return _confirmed(sandbox, body, sent)


def cancel_setup(sandbox: Sandbox, asked: Asked) -> Json:
    """Give a setup intent up."""
    body = sandbox.store.get("setup_intent", asked.ids[0])
    _require_open(body, "cancel")
    sandbox = in_time_of_owner(sandbox, body)
    after = body | {
        "status": "canceled",
        "cancellation_reason": asked.parameters.get("cancellation_reason"),
        "next_action": None,
    }
    return moved(sandbox, after, event="setup_intent.canceled")


def list_setups(sandbox: Sandbox, asked: Asked) -> Json:
    """List setup intents, of a customer or a payment method if it is named."""
    return listed(sandbox, asked, "setup_intent", names=("customer", "payment_method"))


def attempt_setup(sandbox: Sandbox, body: Json, method: Json, *, return_url: str | None = None) -> Json:
    """Set a payment method up and return the intent as it is then; a decline is in its `last_setup_error`."""
    body = body | {"payment_method": method["id"], "payment_method_types": [method["type"]]}
    if asks_when_set_up(method):
        return asking(sandbox, body, return_url=return_url)
    return _set_up(sandbox, body, method)


def authenticate_setup(sandbox: Sandbox, body: Json, *, confirmed: bool) -> Json:
    """Go on with a setup whose holder was asked, and said yes or no."""
    method = sandbox.store.get("payment_method", body["payment_method"])
    if confirmed:
        return _set_up(sandbox, body, method)
    message = (
        "The latest attempt to set up the payment method has failed because authentication failed. You can provide"
        " another payment method to attempt to set it up again."
    )
    error = intent_error(_NOT_AUTHENTICATED, message, method, kind="invalid_request_error")
    return failed(sandbox, body, error)


def _set_up(sandbox: Sandbox, body: Json, method: Json) -> Json:
    decline = setup_decline(sandbox, method)
    if decline is not None:
        error = intent_error(decline.code, decline.message, method, decline_code=decline.decline_code)
        return failed(sandbox, body, error)
    if body["customer"] is not None:
        attach(sandbox, method, sandbox.store.get("customer", body["customer"]))
    after = body | {"status": "succeeded", "next_action": None, "last_setup_error": None}
    return moved(sandbox, after, event="setup_intent.succeeded")


def _with_method(sandbox: Sandbox, body: Json, name: str) -> Json:
    method = payment_method_named(sandbox, name, param="payment_method")
    if method["customer"] not in {None, body["customer"]}:
        message = f"The payment method {method['id']} belongs to another customer than the SetupIntent."
        raise refused(message, param="payment_method")
    return with_method(sandbox, body, method)


def _confirmed(sandbox: Sandbox, body: Json, sent: Json) -> Json:
    if body["payment_method"] is None:
        message = "You cannot confirm this SetupIntent because it's missing a payment method."
        raise refused(message, code=_STATE)
    method = sandbox.store.get("payment_method", body["payment_method"])
    after = attempt_setup(sandbox, body, method, return_url=sent.get("return_url"))
    raise_decline(after)
    return after


def _require_open(body: Json, verb: str) -> None:
    if body["status"] not in OPEN:
        message = f"You cannot {verb} this SetupIntent because it has a status of {body['status']}."
        raise refused(message, code=_STATE)


_ONE: Final = "/v1/setup_intents/{}"
ROUTES = [
    Route(method="POST", path="/v1/setup_intents", parameters=SetupIntentCreateParams, answer=make_setup),
    Route(method="GET", path="/v1/setup_intents", parameters=SetupIntentListParams, answer=list_setups),
    Route(method="GET", path=_ONE, parameters=SetupIntentRetrieveParams, answer=retrieved("setup_intent")),
    Route(method="POST", path=_ONE, parameters=SetupIntentUpdateParams, answer=change_setup),
    Route(method="POST", path=f"{_ONE}/confirm", parameters=SetupIntentConfirmParams, answer=confirm_setup),
    Route(method="POST", path=f"{_ONE}/cancel", parameters=SetupIntentCancelParams, answer=cancel_setup),
]
