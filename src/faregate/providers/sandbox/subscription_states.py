"""The states of a subscription that its invoices decide.

incomplete -> active | incomplete_expired; active -> past_due -> active | unpaid (docs.stripe.com/billing/
subscriptions/overview#subscription-statuses). Invoices call this file; it calls none of theirs.
"""

from __future__ import annotations

from typing import Final

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.times import plan

STEP: Final = "subscription.step"
WILL_END: Final = "subscription.trial_will_end"
FALLS_DUE: Final = "invoice.falls_due"

_DAY_S: Final = 86_400
_RETRIED: Final = frozenset({"active", "past_due", "unpaid"})
_OWING: Final = frozenset({"past_due", "unpaid"})


def kept(sandbox: Sandbox, before: Json, after: Json, *, event: str = "customer.subscription.updated") -> Json:
    """Keep a subscription with its items, and tell of it where anything changed; return it."""
    names = {item["id"] for item in after["items"]["data"]}
    for item in before["items"]["data"]:
        if item["id"] not in names:
            sandbox.store.remove(item)
    held = {item["id"] for item in before["items"]["data"]}
    for item in after["items"]["data"]:
        if item["id"] in held:
            sandbox.store.put(item)
        else:
            sandbox.store.add(item, subscription=after["id"])
    sandbox.store.put(after)
    previous = {name: before[name] for name in after if before[name] != after[name]}
    if previous:
        sandbox.tell(event, after, previous)
    return after


def ended(sandbox: Sandbox, subscription: Json, status: str, *, reason: str | None = None) -> Json:
    """End a subscription now, for good: `canceled` or `incomplete_expired`; nothing of it is due any more."""
    at = sandbox.now()
    details = subscription["cancellation_details"]
    if reason is not None:
        details = details | {"reason": reason}
    after = subscription | {
        "status": status,
        "canceled_at": subscription["canceled_at"] or at,
        "cancellation_details": details,
        "ended_at": at,
    }
    for work in (STEP, WILL_END):
        plan(sandbox, work, subscription, at=None)
    if status == "canceled":
        return kept(sandbox, subscription, after, event="customer.subscription.deleted")
    return kept(sandbox, subscription, after)


def subscription_of(body: Json) -> str | None:
    """Return the subscription that an invoice or an invoice item is of, if it is of one."""
    details = (body["parent"] or {}).get("subscription_details") or {}
    identifier: str | None = details.get("subscription")
    return identifier


def invoice_moved(sandbox: Sandbox, invoice: Json) -> None:
    """Let a subscription follow what became of an invoice of it: paid, given up, or a payment that failed.

    A failed one is tried again at `next_payment_attempt`; None where it was the last time. Nothing comes of an invoice
    of no subscription.
    """
    identifier = subscription_of(invoice)
    if identifier is None:
        return
    subscription = sandbox.store.get("subscription", identifier)
    status = subscription["status"]
    if invoice["status"] == "open":
        if invoice["attempted"] and status in _RETRIED:
            _payment_failed(sandbox, subscription, invoice)
    elif status == "incomplete":
        if invoice["status"] == "paid":
            _become(sandbox, subscription, "active")
    elif status in _OWING and (subscription["latest_invoice"] == invoice["id"] or not _owes(sandbox, subscription)):
        _become(sandbox, subscription, "active")


def _payment_failed(sandbox: Sandbox, subscription: Json, invoice: Json) -> None:
    if invoice["next_payment_attempt"] is not None and subscription["status"] != "unpaid":
        _become(sandbox, subscription, "past_due")
    else:
        _become(sandbox, subscription, "unpaid")


def fell_due(sandbox: Sandbox, identifier: str) -> None:
    """Look at an invoice that is sent, at its due date: an open one makes its subscription `past_due`."""
    invoice = sandbox.store.get("invoice", identifier)
    now = sandbox.now()
    if invoice["status"] not in {"draft", "open"}:
        return
    if invoice["status"] == "draft" or invoice["due_date"] is None or invoice["due_date"] > now:
        plan(sandbox, FALLS_DUE, invoice, at=max(invoice["due_date"] or 0, now + _DAY_S))
        return
    details = (invoice["parent"] or {}).get("subscription_details") or {}
    subscription = sandbox.store.get("subscription", details["subscription"])
    if subscription["status"] == "active":
        _become(sandbox, subscription, "past_due")


def _become(sandbox: Sandbox, subscription: Json, status: str) -> None:
    kept(sandbox, subscription, subscription | {"status": status})


def _owes(sandbox: Sandbox, subscription: Json) -> bool:
    invoices = sandbox.store.find("invoice", "subscription", subscription["id"])
    return any(each["status"] == "open" and each["attempted"] for each in invoices)


WORKS: Final = {FALLS_DUE: fell_due}
