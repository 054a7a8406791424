"""Charges: one attempt each to take a payment (docs.stripe.com/api/charges)."""

from __future__ import annotations

from typing import Final

from stripe.params._charge_list_params import ChargeListParams
from stripe.params._charge_retrieve_params import ChargeRetrieveParams
from stripe.params._charge_update_params import ChargeUpdateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    changed,
    listed,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.cards import Decline
from faregate.providers.sandbox.faults import Json, missing

_OF_INTENT: Final = (
    "amount",
    "currency",
    "customer",
    "description",
    "metadata",
    "receipt_email",
    "statement_descriptor",
    "statement_descriptor_suffix",
)
_OF_PLATFORMS: Final = (
    "application",
    "application_fee",
    "application_fee_amount",
    "calculated_statement_descriptor",
    "on_behalf_of",
    "review",
    "source",
    "source_transfer",
    "transfer_data",
    "transfer_group",
)
"""Shown, and always empty here."""

_OF_CARD: Final = (
    "brand",
    "checks",
    "country",
    "exp_month",
    "exp_year",
    "fingerprint",
    "funding",
    "last4",
    "regulated_status",
    "wallet",
)


def make_charge(sandbox: Sandbox, intent: Json, method: Json, *, status: str, decline: Decline | None) -> Json:
    """Keep one attempt of a payment intent, `succeeded`, `failed` for `decline`, or `pending`, and tell of it."""
    succeeded = status == "succeeded"
    body: Json = {
        "id": sandbox.new_id("ch"),
        "object": "charge",
        "amount_captured": intent["amount"] if succeeded else 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "captured": succeeded,
        "created": sandbox.now(),
        "disputed": False,
        "fraud_details": {},
        "livemode": False,
        "outcome": _outcome(decline),
        "paid": succeeded,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _method_details(method),
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "shipping": None,
        "status": status,
    }
    body |= dict.fromkeys(_OF_PLATFORMS) | {name: intent[name] for name in _OF_INTENT} | _failure(decline)
    sandbox.store.add(body, customer=body["customer"], payment_intent=intent["id"])
    sandbox.tell(f"charge.{status}", body)
    return body


def settle_charge(sandbox: Sandbox, body: Json, *, decline: Decline | None) -> Json:
    """Say of a charge that was on its way how it ended."""
    succeeded = decline is None
    after = (
        body
        | _failure(decline)
        | {
            "amount_captured": body["amount"] if succeeded else 0,
            "captured": succeeded,
            "outcome": _outcome(decline),
            "paid": succeeded,
            "status": "succeeded" if succeeded else "failed",
        }
    )
    sandbox.store.put(after)
    sandbox.tell(f"charge.{after['status']}", after)
    return after


def change_charge(sandbox: Sandbox, asked: Asked) -> Json:
    """Change what is noted on a charge."""
    body = sandbox.store.get("charge", asked.ids[0])
    known = frozenset({"description", "metadata", "receipt_email", "fraud_details"})
    refuse_others(asked.parameters, known, "a charge")
    return changed(sandbox, body, asked.parameters, event="charge.updated")


def list_charges(sandbox: Sandbox, asked: Asked) -> Json:
    """List charges, of a customer or a payment intent if it is named."""
    sent = asked.parameters
    if "transfer_group" in sent:
        raise missing("transfer_group", sent["transfer_group"], param="transfer_group")
    return listed(sandbox, asked, "charge", names=("payment_intent", "customer"))


def _failure(decline: Decline | None) -> Json:
    return {
        "failure_balance_transaction": None,
        "failure_code": decline and decline.code,
        "failure_message": decline and decline.message,
    }


def _outcome(decline: Decline | None) -> Json:
    if decline is None:
        return {
            "network_status": "approved_by_network",
            "reason": None,
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "network_status": "declined_by_network",
        "reason": decline.decline_code,
        "risk_level": "normal",
        "seller_message": f"The bank returned the decline code `{decline.decline_code}`.",
        "type": "issuer_declined",
    }


def _method_details(method: Json) -> Json:
    kind = method["type"]
    details = method[kind]
    if kind == "card":
        details = {name: details[name] for name in _OF_CARD} | {"network": details["brand"], "three_d_secure": None}
    return {"type": kind, kind: details}


ROUTES = [
    Route(method="GET", path="/v1/charges", parameters=ChargeListParams, answer=list_charges),
    Route(method="GET", path="/v1/charges/{}", parameters=ChargeRetrieveParams, answer=retrieved("charge")),
    Route(method="POST", path="/v1/charges/{}", parameters=ChargeUpdateParams, answer=change_charge),
]
