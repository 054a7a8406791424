"""Disputes: a payment that its payer's bank takes back until it is decided (docs.stripe.com/api/disputes)."""

from __future__ import annotations

from typing import Final

from stripe._dispute import Dispute
from stripe.params._dispute_close_params import DisputeCloseParams
from stripe.params._dispute_list_params import DisputeListParams
from stripe.params._dispute_retrieve_params import DisputeRetrieveParams
from stripe.params._dispute_update_params import DisputeUpdateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    changed,
    listed,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.times import in_time_of_owner

_DAY_S: Final = 86_400
_DUE_DAYS: Final = 9
_NEEDS_RESPONSE: Final = ("needs_response", "warning_needs_response")
_OUTCOMES: Final = {"winning_evidence": True, "losing_evidence": False}
"""Stripe's test values of `evidence[uncategorized_text]`, which decide at once."""

_REASON_CODES: Final = {"fraudulent": "10.4", "product_not_received": "13.1"}


def open_dispute(sandbox: Sandbox, charge: Json, *, reason: str, is_inquiry: bool) -> Json:
    """Let a payer dispute a charge; an inquiry asks, and takes no money back."""
    status = "warning_needs_response" if is_inquiry else "needs_response"
    body: Json = {
        "id": sandbox.new_id("du"),
        "object": "dispute",
        "amount": charge["amount"] - charge["amount_refunded"],
        "balance_transactions": [],
        "charge": charge["id"],
        "created": sandbox.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(Dispute.Evidence.__annotations__) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": sandbox.now() + _DUE_DAYS * _DAY_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": is_inquiry,
        "livemode": False,
        "metadata": {},
        "network_reason_code": _REASON_CODES.get(reason),
        "payment_intent": charge["payment_intent"],
        "payment_method_details": _details(charge, is_inquiry=is_inquiry),
        "reason": reason,
        "status": status,
    }
    sandbox.store.add(body, charge=charge["id"], payment_intent=charge["payment_intent"])
    sandbox.store.put(charge | {"disputed": True})
    sandbox.tell("charge.dispute.created", body)
    if not is_inquiry:
        sandbox.tell("charge.dispute.funds_withdrawn", body)
    return body


def end_dispute(sandbox: Sandbox, body: Json, *, is_won: bool) -> Json:
    """Decide a dispute, for the account or for the payer."""
    status = "won" if is_won else "lost"
    after = body | {"status": "warning_closed" if body["status"].startswith("warning_") else status}
    sandbox.store.put(after)
    sandbox.tell("charge.dispute.closed", after)
    if after["status"] == "won":
        sandbox.tell("charge.dispute.funds_reinstated", after)
    return after


def list_disputes(sandbox: Sandbox, asked: Asked) -> Json:
    """List disputes, of a charge or a payment intent if it is named."""
    return listed(sandbox, asked, "dispute", names=("charge", "payment_intent"))


def change_dispute(sandbox: Sandbox, asked: Asked) -> Json:
    """Keep evidence, and hand it in unless `submit` says not yet; Stripe's test values decide at once."""
    body, sent = sandbox.store.get("dispute", asked.ids[0]), asked.parameters
    sandbox = _in_time_of_payer(sandbox, body)
    refuse_others(sent, frozenset({"evidence", "metadata", "submit"}), "a dispute")
    fields: Json = {}
    if "metadata" in sent:
        fields["metadata"] = sent["metadata"]
    if "evidence" not in sent:
        return changed(sandbox, body, fields, event="charge.dispute.updated")
    _require_open(body)
    fields["evidence"] = body["evidence"] | sent["evidence"]
    is_submitted = sent.get("submit", True)
    fields["evidence_details"] = body["evidence_details"] | {"has_evidence": True}
    if is_submitted:
        fields["evidence_details"] |= {
            "submission_count": body["evidence_details"]["submission_count"] + 1,
            "submission_method": "manual",
        }
        fields["status"] = body["status"].replace("needs_response", "under_review")
    after = changed(sandbox, body, fields, event="charge.dispute.updated")
    outcome = _OUTCOMES.get(fields["evidence"]["uncategorized_text"])
    if not is_submitted or outcome is None:
        return after
    return end_dispute(sandbox, after, is_won=outcome)


def close_dispute(sandbox: Sandbox, asked: Asked) -> Json:
    """Give a dispute up: it is lost."""
    body = sandbox.store.get("dispute", asked.ids[0])
    _require_open(body)
    return end_dispute(_in_time_of_payer(sandbox, body), body, is_won=False)


def _in_time_of_payer(sandbox: Sandbox, body: Json) -> Sandbox:
    return in_time_of_owner(sandbox, sandbox.store.get("charge", body["charge"]))


def _require_open(body: Json) -> None:
    if body["status"] not in _NEEDS_RESPONSE:
        raise refused("This dispute is already closed or under review.", code="dispute_closed")


def _details(charge: Json, *, is_inquiry: bool) -> Json:
    card = charge["payment_method_details"].get("card") or {}
    kind = "inquiry" if is_inquiry else "chargeback"
    return {"type": "card", "card": {"brand": card.get("brand"), "case_type": kind, "network_reason_code": None}}


ROUTES = [
    Route(method="GET", path="/v1/disputes", parameters=DisputeListParams, answer=list_disputes),
    Route(method="GET", path="/v1/disputes/{}", parameters=DisputeRetrieveParams, answer=retrieved("dispute")),
    Route(method="POST", path="/v1/disputes/{}", parameters=DisputeUpdateParams, answer=change_dispute),
    Route(method="POST", path="/v1/disputes/{}/close", parameters=DisputeCloseParams, answer=close_dispute),
]
