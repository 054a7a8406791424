"""Payment methods: test cards and test bank accounts, and whose they are (docs.stripe.com/api/payment_methods)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from stripe.params._customer_payment_method_list_params import CustomerPaymentMethodListParams
from stripe.params._customer_payment_method_retrieve_params import CustomerPaymentMethodRetrieveParams
from stripe.params._payment_method_attach_params import PaymentMethodAttachParams
from stripe.params._payment_method_create_params import PaymentMethodCreateParams
from stripe.params._payment_method_detach_params import PaymentMethodDetachParams
from stripe.params._payment_method_list_params import PaymentMethodListParams
from stripe.params._payment_method_retrieve_params import PaymentMethodRetrieveParams
from stripe.params._payment_method_update_params import PaymentMethodUpdateParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, changed, page_of, refuse_others
from faregate.providers.sandbox.cards import (
    EXPIRED,
    ROUTING_NUMBER,
    Decline,
    TestAccount,
    TestCard,
    account_of,
    card_of_fingerprint,
    card_of_number,
    card_of_token,
)
from faregate.providers.sandbox.faults import Declined, Json, lacking, missing, refused

_KNOWN: Final = frozenset({"allow_redisplay", "billing_details", "card", "metadata", "type", "us_bank_account"})
_NOBODY: Final[Json] = {
    "address": {"city": None, "country": None, "line1": None, "line2": None, "postal_code": None, "state": None},
    "email": None,
    "name": None,
    "phone": None,
    "tax_id": None,
}
_YEARS_VALID: Final = 3
RAW_NUMBER: Final = (
    "Sending credit card numbers directly to the Stripe API is generally unsafe. We suggest you use test tokens that"
    " map to the test card you are using, see https://stripe.com/docs/testing."
)


def make_payment_method(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a payment method of a card's token, or of a test account's numbers."""
    sent = asked.parameters
    refuse_others(sent, _KNOWN, "a payment method")
    kind = sent.get("type")
    if kind == "card":
        return _keep(sandbox, _card(sandbox, _sent_card(sent.get("card", {}))), sent)
    if kind == "us_bank_account":
        return _keep(sandbox, _account(_sent_account(sent.get("us_bank_account", {}))), sent)
    if kind is None:
        raise lacking("type")
    raise refused(f"The sandbox has cards and US bank accounts, no {kind}", param="type")


def get_payment_method(sandbox: Sandbox, asked: Asked) -> Json:
    """Return a payment method."""
    return payment_method_named(sandbox, asked.ids[-1], param="payment_method")


def change_payment_method(sandbox: Sandbox, asked: Asked) -> Json:
    """Change whose name stands on a payment method, or when its card expires."""
    body = sandbox.store.get("payment_method", asked.ids[0])
    fields = dict(asked.parameters)
    refuse_others(fields, _KNOWN, "a payment method")
    if body["customer"] is None:
        message = "You must save this PaymentMethod to a customer before you can update it."
        raise refused(message, param="payment_method")
    if "billing_details" in fields:
        fields["billing_details"] = _billing_details(body["billing_details"], fields["billing_details"])
    if "card" in fields:
        refuse_others(fields["card"], frozenset({"exp_month", "exp_year"}), "a card that is kept")
        fields["card"] = body["card"] | fields["card"]
    return changed(sandbox, body, fields, event="payment_method.updated")


def list_payment_methods(sandbox: Sandbox, asked: Asked) -> Json:
    """List payment methods of a customer."""
    customer = asked.ids[0] if asked.ids else asked.parameters.get("customer")
    if customer is None:
        return page_of(asked, [])
    sandbox.store.get("customer", customer, param="customer")
    kind = asked.parameters.get("type")
    found = sandbox.store.find("payment_method", "customer", customer)
    return page_of(asked, found, lambda body: kind in {None, body["type"]})


def get_of_customer(sandbox: Sandbox, asked: Asked) -> Json:
    """Return a payment method that is a customer's."""
    body = get_payment_method(sandbox, asked)
    if body["customer"] != asked.ids[0]:
        raise missing("PaymentMethod", asked.ids[1], param="payment_method")
    return body


def attach_payment_method(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a payment method a customer's."""
    refuse_others(asked.parameters, frozenset({"customer"}), "an attachment")
    if "customer" not in asked.parameters:
        raise lacking("customer")
    body = payment_method_named(sandbox, asked.ids[0], param="payment_method")
    customer = sandbox.store.get("customer", asked.parameters["customer"], param="customer")
    return attach(sandbox, body, customer)


def detach_payment_method(sandbox: Sandbox, asked: Asked) -> Json:
    """Take a payment method from its customer, for good."""
    body = sandbox.store.get("payment_method", asked.ids[0], param="payment_method")
    owner = body["customer"]
    if owner is None:
        message = "The payment method you provided is not attached to a customer so detachment is impossible."
        raise refused(message, param="payment_method")
    after = body | {"customer": None}
    sandbox.store.put(after)
    sandbox.store.index(after, customer=None, was_used=after["id"])
    sandbox.tell("payment_method.detached", after, {"customer": owner})
    customer = sandbox.store.get("customer", owner)
    if customer["invoice_settings"]["default_payment_method"] == body["id"]:
        settings = customer["invoice_settings"] | {"default_payment_method": None}
        changed(sandbox, customer, {"invoice_settings": settings}, event="customer.updated")
    return after


def payment_method_named(sandbox: Sandbox, name: str, *, param: str) -> Json:
    """Return a payment method by its id; a test token (`pm_card_visa`) is a new one each time."""
    card = card_of_token(name) if name.startswith("pm_card_") else None
    if card is not None:
        return _keep(sandbox, _card(sandbox, card), {})
    account = account_of(name) if name.startswith("pm_usBankAccount_") else None
    if account is not None:
        return _keep(sandbox, _account(account), {})
    return sandbox.store.get("payment_method", name, param=param)


def make_of_number(sandbox: Sandbox, *, number: str, month: int, year: int, billing: Json) -> Json:
    """Make a payment method of what somebody typed into a hosted page; raises `Declined` for no test card."""
    card = card_of_number(number)
    if card is None:
        message = "Your card was declined. Your request was in test mode, but used a non test card."
        raise Declined(message, code="card_declined", decline_code="test_mode_live_card", objects={})
    body = _card(sandbox, card)
    body["card"] |= {"exp_month": month, "exp_year": year}
    return _keep(sandbox, body, {"billing_details": billing})


def make_of_account(sandbox: Sandbox, number: str, *, billing: Json) -> Json:
    """Make a payment method of a test account; raises `StripeFault` for another one."""
    sent = {"account_number": number, "routing_number": ROUTING_NUMBER}
    return _keep(sandbox, _account(_sent_account(sent)), {"billing_details": billing})


def attach(sandbox: Sandbox, body: Json, customer: Json) -> Json:
    """Make a payment method a customer's; raises `Declined` for a card that can't be, `StripeFault` for another's."""
    if body["customer"] == customer["id"]:
        return body
    if body["customer"] is not None:
        raise refused("The payment method you provided has already been attached to a customer.")
    refuse_spent(sandbox, body)
    decline = setup_decline(sandbox, body)
    if decline is not None:
        raise Declined(decline.message, code=decline.code, decline_code=decline.decline_code, objects={})
    after = body | {"customer": customer["id"]}
    sandbox.store.put(after)
    sandbox.store.index(after, customer=customer["id"])
    sandbox.tell("payment_method.attached", after)
    return after


def refuse_spent(sandbox: Sandbox, body: Json) -> None:
    """Raise `StripeFault` for one that was detached, or that paid without being a customer's."""
    if sandbox.store.find("payment_method", "was_used", body["id"]):
        message = (
            "This PaymentMethod was previously used without being attached to a Customer or was detached from a"
            " Customer, and may not be used again."
        )
        raise refused(message, param="payment_method")


def setup_decline(sandbox: Sandbox, body: Json) -> Decline | None:
    """Return why it can't be kept for later payments; None: it can, though they may fail."""
    if body["type"] != "card" or card_of_fingerprint(body["card"]["fingerprint"]).attaches:
        return None
    return decline_of(sandbox, body)


def default_payment_method(sandbox: Sandbox, customer: Json) -> Json | None:
    """Return what a customer's invoices are paid with; None: nothing."""
    named = customer["invoice_settings"]["default_payment_method"]
    return None if named is None else sandbox.store.get("payment_method", named)


def require_of_customer(sandbox: Sandbox, name: str, customer: Json, *, param: str) -> Json:
    """Return a payment method that is to be a customer's default; raises `StripeFault` for one that is not theirs."""
    body = payment_method_named(sandbox, name, param=param)
    if body["customer"] != customer["id"]:
        message = (
            f"The customer does not have a payment method with the ID {name}."
            " The payment method must be attached to the customer."
        )
        raise refused(message, param=param, code="resource_missing")
    return body


def decline_of(sandbox: Sandbox, body: Json) -> Decline | None:
    """Return why a payment with it fails; None: it does not."""
    if body["type"] == "us_bank_account":
        account = account_of(body["us_bank_account"]["fingerprint"])
        return None if account is None else account.decline
    now = datetime.fromtimestamp(sandbox.now(), tz=UTC)
    card = body["card"]
    if (card["exp_year"], card["exp_month"]) < (now.year, now.month):
        return EXPIRED
    return card_of_fingerprint(card["fingerprint"]).decline


def _sent_card(sent: Json) -> TestCard:
    if "number" in sent:
        raise refused(RAW_NUMBER, param="card[number]")
    if "token" not in sent:
        raise lacking("card[token]")
    card = card_of_token(sent["token"])
    if card is None:
        raise missing("token", sent["token"], param="card[token]")
    return card


def _sent_account(sent: Json) -> TestAccount:
    if sent.get("routing_number") != ROUTING_NUMBER:
        message = f"Must use a test routing number such as {ROUTING_NUMBER} in test mode."
        raise refused(message, param="us_bank_account[routing_number]", code="routing_number_invalid")
    account = account_of(sent.get("account_number", ""))
    if account is None:
        message = "Must use a test bank account number in test mode: 000123456789, 000222222227 or 000111111113."
        raise refused(message, param="us_bank_account[account_number]", code="account_number_invalid")
    return account


def _keep(sandbox: Sandbox, details: Json, sent: Json) -> Json:
    body: Json = {
        "id": sandbox.new_id("pm"),
        "object": "payment_method",
        "allow_redisplay": sent.get("allow_redisplay", "unspecified"),
        "billing_details": _billing_details(_NOBODY, sent.get("billing_details", {})),
        "created": sandbox.now(),
        "customer": None,
        "livemode": False,
        "metadata": sent.get("metadata", {}),
    } | details
    sandbox.store.add(body)
    return body


def _billing_details(before: Json, sent: Json) -> Json:
    address = before["address"] | (sent.get("address") or {})
    return before | {name: value or None for name, value in sent.items()} | {"address": address}


def _card(sandbox: Sandbox, card: TestCard) -> Json:
    now = datetime.fromtimestamp(sandbox.now(), tz=UTC)
    return {
        "type": "card",
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
            "country": "US",
            "display_brand": card.brand,
            "exp_month": now.month,
            "exp_year": now.year + _YEARS_VALID,
            "fingerprint": card.fingerprint,
            "funding": card.funding,
            "generated_from": None,
            "last4": card.number[-4:],
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
    }


def _account(account: TestAccount) -> Json:
    return {
        "type": "us_bank_account",
        "us_bank_account": {
            "account_holder_type": "individual",
            "account_type": "checking",
            "bank_name": "STRIPE TEST BANK",
            "financial_connections_account": None,
            "fingerprint": account.fingerprint,
            "last4": account.number[-4:],
            "networks": {"preferred": "ach", "supported": ["ach"]},
            "routing_number": ROUTING_NUMBER,
            "status_details": None,
        },
    }


_ONE: Final = "/v1/payment_methods/{}"
ROUTES = [
    Route(method="POST", path="/v1/payment_methods", parameters=PaymentMethodCreateParams, answer=make_payment_method),
    Route(method="GET", path="/v1/payment_methods", parameters=PaymentMethodListParams, answer=list_payment_methods),
    Route(method="GET", path=_ONE, parameters=PaymentMethodRetrieveParams, answer=get_payment_method),
    Route(method="POST", path=_ONE, parameters=PaymentMethodUpdateParams, answer=change_payment_method),
    Route(method="POST", path=f"{_ONE}/attach", parameters=PaymentMethodAttachParams, answer=attach_payment_method),
    Route(method="POST", path=f"{_ONE}/detach", parameters=PaymentMethodDetachParams, answer=detach_payment_method),
    Route(
        method="GET",
        path="/v1/customers/{}/payment_methods",
        parameters=CustomerPaymentMethodListParams,
        answer=list_payment_methods,
    ),
    Route(
        method="GET",
        path="/v1/customers/{}/payment_methods/{}",
        parameters=CustomerPaymentMethodRetrieveParams,
        answer=get_of_customer,
    ),
]
