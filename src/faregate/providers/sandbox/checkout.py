"""Checkout sessions: what is to be bought, and how far that is (docs.stripe.com/api/checkout/sessions)."""

from __future__ import annotations

from typing import Final

from stripe.params.checkout._session_create_params import SessionCreateParams
from stripe.params.checkout._session_expire_params import SessionExpireParams
from stripe.params.checkout._session_line_item_list_params import SessionLineItemListParams
from stripe.params.checkout._session_list_params import SessionListParams
from stripe.params.checkout._session_retrieve_params import SessionRetrieveParams
from stripe.params.checkout._session_update_params import SessionUpdateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    listed,
    merged_metadata,
    page_of,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.checkout_lines import session_lines
from faregate.providers.sandbox.customers import live_customer
from faregate.providers.sandbox.faults import Json, lacking, refused
from faregate.providers.sandbox.payment_intents import cancel, require_amount
from faregate.providers.sandbox.times import in_time_of, in_time_of_owner, plan_for_owner

SESSION: Final = "checkout.session"
_EXPIRES: Final = "checkout.expires"

_ONLY_IN: Final = {
    "customer_creation": ("payment", "setup"),
    "invoice_creation": ("payment",),
    "payment_intent_data": ("payment",),
    "setup_intent_data": ("setup",),
    "submit_type": ("payment",),
    "subscription_data": ("subscription",),
}
_NOTED: Final = (
    "billing_address_collection",
    "cancel_url",
    "client_reference_id",
    "customer_email",
    "locale",
    "submit_type",
)
_KNOWN: Final = frozenset(
    {
        *_ONLY_IN,
        *_NOTED,
        "allow_promotion_codes",
        "automatic_tax",
        "currency",
        "customer",
        "customer_update",
        "expires_at",
        "line_items",
        "metadata",
        "mode",
        "payment_method_collection",
        "success_url",
        "ui_mode",
    }
)
_PAYMENT_INTENT_DATA: Final = frozenset(
    {
        "capture_method",
        "description",
        "metadata",
        "receipt_email",
        "setup_future_usage",
        "statement_descriptor",
        "statement_descriptor_suffix",
    }
)
_SUBSCRIPTION_DATA: Final = frozenset(
    {
        "billing_mode",
        "default_tax_rates",
        "description",
        "invoice_settings",
        "metadata",
        "trial_end",
        "trial_period_days",
        "trial_settings",
    }
)
_HOUR_S: Final = 3_600
_LEAST_S: Final = _HOUR_S // 2
_MOST_S: Final = 24 * _HOUR_S


def make_session(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a session, with a page at `url`."""
    sent = asked.parameters
    _check(sent)
    if "customer" in sent:
        sandbox = in_time_of(sandbox, live_customer(sandbox, sent["customer"]))
    lines = session_lines(sandbox, sent)
    total = sum(line["amount_total"] for line in lines if not _is_on_trial(sent, line))
    currency = lines[0]["currency"] if lines else sent["currency"].lower()
    if sent["mode"] == "payment":
        require_amount(total, currency)
    body = _body(sandbox, sent, total=total, currency=currency)
    address = f"/v1/checkout/sessions/{body['id']}/line_items"
    body["line_items"] = {"object": "list", "data": lines, "has_more": False, "url": address}
    wishes = {name: sent.get(name, {}) for name in ("payment_intent_data", "setup_intent_data", "subscription_data")}
    body["_wishes"] = wishes | {"setup": None}
    sandbox.store.add(body, customer=body["customer"], status="open")
    plan_for_owner(sandbox, _EXPIRES, body, after_s=body["expires_at"] - sandbox.now())
    return body


def _is_on_trial(sent: Json, line: Json) -> bool:
    wished = sent.get("subscription_data", {})
    return line["price"]["recurring"] is not None and bool(wished.keys() & {"trial_end", "trial_period_days"})


def change_session(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a session's metadata."""
    body = sandbox.store.get(SESSION, asked.ids[0])
    refuse_others(asked.parameters, frozenset({"metadata"}), "a checkout session that exists")
    if "metadata" in asked.parameters:
        body["metadata"] = merged_metadata(body["metadata"], asked.parameters["metadata"])
        sandbox.store.put(body)
    return body


def list_sessions(sandbox: Sandbox, asked: Asked) -> Json:
    """List sessions."""
    refuse_others(asked.parameters, _LISTED, "the list of checkout sessions")
    return listed(sandbox, asked, SESSION, names=("payment_intent", "subscription", "customer", "status"))


def list_lines(sandbox: Sandbox, asked: Asked) -> Json:
    """List what a session is for."""
    return page_of(asked, sandbox.store.get(SESSION, asked.ids[0])["line_items"]["data"])


def expire_session(sandbox: Sandbox, asked: Asked) -> Json:
    """End a session that nobody completed."""
    body = sandbox.store.get(SESSION, asked.ids[0])
    if body["status"] != "open":
        message = (
            'Only Checkout Sessions with a status in ["open"] can be expired.'
            f" This Session has a status of `{body['status']}`."
        )
        raise refused(message)
    return _expire(in_time_of_owner(sandbox, body), body)


def wishes_of(body: Json) -> Json:
    """Return what was asked for the objects that a session makes, and the setup intent that it has made so far."""
    wishes: Json = body["_wishes"]
    return wishes


def moved(sandbox: Sandbox, body: Json, *, event: str | None) -> Json:
    """Keep a session as it is now, and tell of it, without its lines, as Stripe does."""
    sandbox.store.put(body)
    sandbox.store.index(
        body,
        customer=body["customer"],
        payment_intent=body["payment_intent"],
        status=body["status"],
        subscription=body["subscription"],
    )
    if body["status"] != "open":
        sandbox.store.forget(_EXPIRES, body["id"])
    if event is not None:
        sandbox.tell(event, {name: value for name, value in body.items() if name != "line_items"})
    return body


def _expire(sandbox: Sandbox, body: Json) -> Json:
    if body["payment_intent"] is not None:
        cancel(sandbox, sandbox.store.get("payment_intent", body["payment_intent"]), reason="expired")
    return moved(sandbox, body | {"status": "expired", "url": None}, event="checkout.session.expired")


def _expire_when_due(sandbox: Sandbox, identifier: str) -> None:
    body = sandbox.store.get(SESSION, identifier)
    if body["status"] == "open":
        _expire(sandbox, body)


def _check(sent: Json) -> None:
    refuse_others(sent, _KNOWN, "a checkout session")
    mode = sent.get("mode")
    if mode is None:
        raise lacking("mode")
    if sent.get("ui_mode", "hosted_page") != "hosted_page":
        raise refused("The sandbox has hosted pages alone", param="ui_mode")
    if "success_url" not in sent:
        raise lacking("success_url")
    if sent.get("allow_promotion_codes"):
        raise refused("The sandbox has no promotion codes", param="allow_promotion_codes")
    _check_mode(sent, mode)
    for name in ("customer_email", "customer_creation"):
        if name in sent and "customer" in sent:
            raise refused(f"You may only specify one of these parameters: customer, {name}.", param=name)
    if "customer_update" in sent and "customer" not in sent:
        raise refused("`customer_update` can only be used with `customer`.", param="customer_update")


def _check_mode(sent: Json, mode: str) -> None:
    for name, modes in _ONLY_IN.items():
        if name in sent and mode not in modes:
            raise refused(f"You can not pass `{name}` in `{mode}` mode.", param=name)
    refuse_others(sent.get("payment_intent_data", {}), _PAYMENT_INTENT_DATA, "`payment_intent_data`")
    if sent.get("payment_intent_data", {}).get("capture_method") == "manual":
        raise refused("The sandbox captures automatically alone", param="payment_intent_data[capture_method]")
    for name in ("automatic_tax", "invoice_creation"):
        if mode != "subscription" and sent.get(name, {}).get("enabled"):
            raise refused(f"The sandbox's checkout has no `{name}` in `{mode}` mode", param=f"{name}[enabled]")
    refuse_others(sent.get("subscription_data", {}), _SUBSCRIPTION_DATA, "`subscription_data`")
    if sent.get("payment_method_collection") == "if_required":
        raise refused("The sandbox's checkout always asks for a card", param="payment_method_collection")
    refuse_others(sent.get("setup_intent_data", {}), frozenset({"description", "metadata"}), "`setup_intent_data`")
    if mode == "setup" and "currency" not in sent:
        message = "`currency` is required in `setup` mode."
        raise refused(message, param="currency", code="parameter_missing")


def _body(sandbox: Sandbox, sent: Json, *, total: int, currency: str) -> Json:
    identifier, mode = sandbox.new_id("cs_test"), sent["mode"]
    has_nothing = mode == "setup"
    tax = sent.get("automatic_tax", {"enabled": False})
    invoice: Json = {
        "account_tax_ids": None,
        "custom_fields": None,
        "description": None,
        "footer": None,
        "metadata": {},
    }
    return {
        "id": identifier,
        "object": SESSION,
        "adaptive_pricing": None,
        "after_expiration": None,
        "allow_promotion_codes": sent.get("allow_promotion_codes"),
        "amount_subtotal": None if has_nothing else total,
        "amount_total": None if has_nothing else total,
        "automatic_tax": {"enabled": tax["enabled"], "liability": None, "provider": None, "status": None},
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "created": sandbox.now(),
        "currency": currency,
        "custom_fields": [],
        "custom_text": {"after_submit": None, "shipping_address": None, "submit": None},
        "customer": sent.get("customer"),
        "customer_creation": sent.get("customer_creation", "if_required" if mode == "payment" else None),
        "customer_details": None,
        "discounts": [],
        "expires_at": _expiry(sandbox, sent),
        "invoice": None,
        "invoice_creation": {"enabled": False, "invoice_data": invoice} | sent.get("invoice_creation", {})
        if mode == "payment"
        else None,
        "livemode": False,
        "metadata": sent.get("metadata", {}),
        "mode": mode,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": sent.get("payment_method_collection", "always")
        if mode == "subscription"
        else "if_required",
        "payment_method_options": {},
        "payment_method_types": ["card", "us_bank_account"] if mode == "payment" else ["card"],
        "payment_status": "no_payment_required" if has_nothing else "unpaid",
        "setup_intent": None,
        "shipping_options": [],
        "status": "open",
        "subscription": None,
        "success_url": sent["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{sandbox.pages_url}/checkout/{identifier}",
    } | {name: sent.get(name) for name in _NOTED}


def _expiry(sandbox: Sandbox, sent: Json) -> int:
    now = sandbox.now()
    at: int = sent.get("expires_at", now + _MOST_S)
    if at < now + _LEAST_S:
        message = "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation."
        raise refused(message, param="expires_at")
    if at > now + _MOST_S:
        message = "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation."
        raise refused(message, param="expires_at")
    return at


_LISTED: Final = frozenset(
    {"created", "customer", "ending_before", "limit", "payment_intent", "starting_after", "status", "subscription"}
)
WORKS = {_EXPIRES: _expire_when_due}

_ALL: Final = "/v1/checkout/sessions"
_ONE: Final = f"{_ALL}/{{}}"
ROUTES = [
    Route(method="POST", path=_ALL, parameters=SessionCreateParams, answer=make_session),
    Route(method="GET", path=_ALL, parameters=SessionListParams, answer=list_sessions),
    Route(method="GET", path=_ONE, parameters=SessionRetrieveParams, answer=retrieved(SESSION)),
    Route(method="POST", path=_ONE, parameters=SessionUpdateParams, answer=change_session),
    Route(method="POST", path=f"{_ONE}/expire", parameters=SessionExpireParams, answer=expire_session),
    Route(method="GET", path=f"{_ONE}/line_items", parameters=SessionLineItemListParams, answer=list_lines),
]
