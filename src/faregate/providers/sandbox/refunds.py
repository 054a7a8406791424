"""Refunds: a payment given back, whole or in parts (docs.stripe.com/api/refunds)."""

from __future__ import annotations

from typing import Final

from stripe.params._refund_cancel_params import RefundCancelParams
from stripe.params._refund_create_params import RefundCreateParams
from stripe.params._refund_list_params import RefundListParams
from stripe.params._refund_retrieve_params import RefundRetrieveParams
from stripe.params._refund_update_params import RefundUpdateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    changed,
    listed,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.cards import card_of_fingerprint
from faregate.providers.sandbox.faults import Json, missing, refused
from faregate.providers.sandbox.times import in_time_of_owner, plan_for_owner

_KNOWN: Final = frozenset({"amount", "charge", "metadata", "payment_intent", "reason"})
_HELD: Final = frozenset({"needs_response", "under_review", "lost"})
"""States of a dispute in which the payer's bank has the money."""

_ENDS: Final = "refund.ends"
_ENDS_AFTER_S: Final = 60


def make_refund(sandbox: Sandbox, asked: Asked) -> Json:
    """Give a payment back, by its charge or its payment intent; all that is left, unless an amount is named."""
    sent = asked.parameters
    refuse_others(sent, _KNOWN, "a refund")
    charge = _charge(sandbox, sent)
    return refund_charge(
        in_time_of_owner(sandbox, charge),
        charge,
        amount=sent.get("amount"),
        reason=sent.get("reason"),
        metadata=sent.get("metadata", {}),
    )


def refund_charge(sandbox: Sandbox, charge: Json, *, amount: int | None, reason: str | None, metadata: Json) -> Json:
    """Give back `amount` of a charge, all that is left for None; raises `StripeFault` for what can't be."""
    left = charge["amount_captured"] - charge["amount_refunded"]
    if any(body["status"] in _HELD for body in sandbox.store.find("dispute", "charge", charge["id"])):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise refused(message, code="charge_disputed")
    amount = _refundable(charge, left if amount is None else amount, left=left)
    body: Json = {
        "id": sandbox.new_id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": sandbox.now(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "destination_details": {"type": "card", "card": {"type": "refund", "reference_status": "pending"}},
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if outcome_of(charge) == "pending" else "succeeded",
        "transfer_reversal": None,
    }
    sandbox.store.add(body, charge=charge["id"], payment_intent=charge["payment_intent"])
    refunded = charge["amount_refunded"] + amount
    after = charge | {"amount_refunded": refunded, "refunded": refunded == charge["amount_captured"]}
    sandbox.store.put(after)
    sandbox.tell("refund.created", body)
    sandbox.tell("charge.refunded", after, {"amount_refunded": charge["amount_refunded"]})
    if outcome_of(charge) != "succeeded":
        plan_for_owner(sandbox, _ENDS, body, after_s=_ENDS_AFTER_S)
    return body


def outcome_of(charge: Json) -> str:
    """Return what becomes of refunds of a charge: `succeeded`, `pending` and then succeeded, or `failed` in the end."""
    card = charge["payment_method_details"].get("card")
    return "succeeded" if card is None else card_of_fingerprint(card["fingerprint"]).refund


def _end(sandbox: Sandbox, identifier: str) -> None:
    body = sandbox.store.get("refund", identifier)
    fails = outcome_of(sandbox.store.get("charge", body["charge"])) == "failed"
    end_refund(sandbox, body, failure="declined" if fails else None)


def end_refund(sandbox: Sandbox, body: Json, *, failure: str | None) -> Json:
    """Say of a refund how it ended; one that fails leaves the money where it is."""
    previous = {"status": body["status"]}
    if failure is None:
        after = body | {"status": "succeeded"}
        sandbox.store.put(after)
        sandbox.tell("refund.updated", after, previous)
        return after
    after = body | {"status": "failed", "failure_reason": failure}
    charge = sandbox.store.get("charge", body["charge"])
    refunded = charge["amount_refunded"] - body["amount"]
    sandbox.store.put(after)
    sandbox.store.put(charge | {"amount_refunded": refunded, "refunded": False})
    sandbox.tell("refund.updated", after, previous)
    sandbox.tell("refund.failed", after)
    return after


def change_refund(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a refund's metadata."""
    return changed(sandbox, sandbox.store.get("refund", asked.ids[0]), asked.parameters, event="refund.updated")


def cancel_refund(sandbox: Sandbox, asked: Asked) -> Json:
    """Refuse: only a refund that waits for its receiver can be cancelled, and none does here."""
    body = sandbox.store.get("refund", asked.ids[0])
    raise refused(f"You can only cancel a refund with status `requires_action`; this one is `{body['status']}`.")


def list_refunds(sandbox: Sandbox, asked: Asked) -> Json:
    """List refunds, of a charge or a payment intent if it is named."""
    return listed(sandbox, asked, "refund", names=("charge", "payment_intent"))


def _charge(sandbox: Sandbox, sent: Json) -> Json:
    if "charge" in sent and "payment_intent" in sent:
        raise refused("You may only specify one of these parameters: charge, payment_intent.")
    if "charge" in sent:
        return sandbox.store.get("charge", sent["charge"], param="charge")
    if "payment_intent" not in sent:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise refused(message)
    intent = sandbox.store.get("payment_intent", sent["payment_intent"], param="payment_intent")
    if intent["status"] != "succeeded":
        message = f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund."
        raise refused(message, param="payment_intent")
    return sandbox.store.get("charge", intent["latest_charge"])


def _refundable(charge: Json, amount: int, *, left: int) -> int:
    if charge["status"] != "succeeded":
        raise missing("charge", charge["id"], param="charge")
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise refused(message, code="charge_already_refunded")
    if amount < 1:
        raise refused("Invalid positive integer", param="amount", code="parameter_invalid_integer")
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise refused(message, param="amount")
    return amount


WORKS = {_ENDS: _end}

_ONE: Final = "/v1/refunds/{}"
ROUTES = [
    Route(method="POST", path="/v1/refunds", parameters=RefundCreateParams, answer=make_refund),
    Route(method="GET", path="/v1/refunds", parameters=RefundListParams, answer=list_refunds),
    Route(method="GET", path=_ONE, parameters=RefundRetrieveParams, answer=retrieved("refund")),
    Route(method="POST", path=_ONE, parameters=RefundUpdateParams, answer=change_refund),
    Route(method="POST", path=f"{_ONE}/cancel", parameters=RefundCancelParams, answer=cancel_refund),
]
