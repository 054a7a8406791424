"""A subscription's course in time: periods end and are billed, trials end, cancellations come true.

An invoice of a period is opened at the border, as a draft, finalized an hour later and collected (docs.stripe.com/
billing/invoices/subscription). What a payment's outcome does is in `subscription_states.py`.
"""

from __future__ import annotations

from typing import Any, Final

from faregate.providers.sandbox import invoices
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.coupons import coupon_of, discount, is_running
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.prorations import credit_unused, is_metered
from faregate.providers.sandbox.subscription_periods import period_at
from faregate.providers.sandbox.subscription_states import FALLS_DUE, STEP, WILL_END, ended, kept, subscription_of
from faregate.providers.sandbox.times import plan

INCOMPLETE_S: Final = 23 * 3_600
"""How long a first payment can be waited for."""

_SET_ASIDE: Final = "invoice.set_aside"
_DAY_S: Final = 86_400
_TOLD_BEFORE_S: Final = 3 * _DAY_S
_ASIDE: Final = {"void": "void", "mark_uncollectible": "uncollectible"}
"""What becomes of an invoice while collection is paused, by the pause's behavior."""

_LIVE: Final = frozenset({"active", "past_due", "unpaid", "trialing"})


def schedule(sandbox: Sandbox, subscription: Json) -> None:
    """Plan when a subscription is to be looked at next."""
    plan(sandbox, STEP, subscription, at=_next(subscription))
    if subscription["status"] == "trialing":
        told_at = max(subscription["trial_end"] - _TOLD_BEFORE_S, sandbox.now())
        plan(sandbox, WILL_END, subscription, at=told_at)


def _next(subscription: Json) -> int | None:
    status = subscription["status"]
    if status == "incomplete":
        at: int = subscription["created"] + INCOMPLETE_S
        return at
    if status not in _LIVE:
        return None
    moments = [item["current_period_end"] for item in subscription["items"]["data"]]
    moments += [subscription["cancel_at"], (subscription["pause_collection"] or {}).get("resumes_at")]
    return min((moment for moment in moments if moment is not None), default=None)


def step(sandbox: Sandbox, identifier: str) -> None:
    """Do the first of what is due of a subscription, and plan the next."""
    subscription = sandbox.store.get("subscription", identifier)
    at = sandbox.now()
    resumes_at = (subscription["pause_collection"] or {}).get("resumes_at")
    if subscription["status"] == "incomplete":
        _expire(sandbox, subscription, at)
    elif subscription["cancel_at"] is not None and subscription["cancel_at"] <= at:
        if subscription["_credits_at_end"]:
            credit_unused(sandbox, subscription, at)
        cancel(sandbox, subscription, at, is_billed=True)
    elif resumes_at is not None and resumes_at <= at:
        kept(sandbox, subscription, subscription | {"pause_collection": None})
    elif subscription["status"] == "trialing" and subscription["trial_end"] <= at:
        _end_trial(sandbox, subscription, at)
    elif period_of(subscription)[1] <= at:
        renew(sandbox, subscription, at, reason="subscription_cycle")
    schedule(sandbox, sandbox.store.get("subscription", identifier))


def tell_trial_will_end(sandbox: Sandbox, identifier: str) -> None:
    """Tell that a trial ends within three days."""
    subscription = sandbox.store.get("subscription", identifier)
    if subscription["status"] == "trialing":
        sandbox.tell("customer.subscription.trial_will_end", subscription)


def period_of(subscription: Json) -> tuple[int, int]:
    """Return the current period: all items have the same, but what was added later begins later."""
    items = subscription["items"]["data"]
    return min(item["current_period_start"] for item in items), min(item["current_period_end"] for item in items)


def rolled(subscription: Json, at: int, **fields: Any) -> Json:  # noqa: ANN401 - values of a subscription's fields
    """Return a subscription with the period that holds `at`, from `at` on, by its anchor, and other fields."""
    after = subscription | fields
    items = [
        item | {"current_period_start": at, "current_period_end": _period_end(after, item, at)}
        for item in after["items"]["data"]
    ]
    return after | {"items": after["items"] | {"data": items}}


def _period_end(subscription: Json, item: Json, at: int) -> int:
    if subscription["status"] == "trialing":
        end: int = subscription["trial_end"]
        return end
    return period_at(subscription["billing_cycle_anchor"], item["price"]["recurring"], at)[1]


def renew(sandbox: Sandbox, subscription: Json, at: int, *, reason: str, **fields: Any) -> Json:  # noqa: ANN401
    """Begin a new period and open the invoice of the border: usage until it, quantities from it. Returns the draft."""
    start, _ = period_of(subscription)
    after = rolled(subscription, at, **fields)
    invoice, after = open_draft(sandbox, after, period_start=start, period_end=at, reason=reason)
    kept(sandbox, subscription, after)
    advance_later(sandbox, after, invoice)
    return invoice


def open_draft(
    sandbox: Sandbox,
    subscription: Json,
    *,
    period_start: int,
    period_end: int,
    reason: str,
    is_metered: bool = True,
    is_licensed: bool = True,
) -> tuple[Json, Json]:
    """Open an invoice of a subscription now; return it, and the subscription with what that changes, not yet kept."""
    at = sandbox.now()
    discounts = [discount(sandbox, each) for each in subscription["discounts"]]
    running = [each for each in discounts if is_running(each, at)]
    invoice = invoices.open_invoice(
        sandbox,
        subscription,
        period_start=period_start,
        period_end=period_end,
        reason=reason,
        at=at,
        discounts=running,
        is_metered=is_metered,
        is_licensed=is_licensed,
    )
    is_spent = subscription["status"] != "trialing"
    left = [each["id"] for each in running if not (is_spent and coupon_of(sandbox, each)["duration"] == "once")]
    for each in discounts:
        if each["id"] not in left:
            sandbox.tell("customer.discount.deleted", each)
    return invoice, subscription | {"latest_invoice": invoice["id"], "discounts": left}


def advance_later(sandbox: Sandbox, subscription: Json, invoice: Json) -> None:
    """Leave a draft to its hour; of a subscription that is not collected now it stays one, or is set aside then."""
    behavior = (subscription["pause_collection"] or {}).get("behavior")
    finalized_at = sandbox.now() + invoices.FINALIZED_AFTER_S
    if subscription["status"] == "unpaid" or behavior is not None:
        sandbox.store.put(invoice | {"auto_advance": False, "automatically_finalizes_at": None})
        plan(sandbox, invoices.ADVANCE, invoice, at=None)
        if behavior in _ASIDE:
            plan(sandbox, _SET_ASIDE, invoice, at=finalized_at)
    elif subscription["collection_method"] == "send_invoice":
        plan(sandbox, FALLS_DUE, invoice, at=finalized_at + (subscription["days_until_due"] or 0) * _DAY_S)


def set_aside(sandbox: Sandbox, identifier: str) -> None:
    """Finalize a draft of a subscription whose collection was paused, and void it or give it up."""
    invoice = sandbox.store.get("invoice", identifier)
    subscription = sandbox.store.get("subscription", invoice["parent"]["subscription_details"]["subscription"])
    behavior = (subscription["pause_collection"] or {}).get("behavior", "void")
    if invoice["status"] == "draft":
        invoice = invoices.finalize(sandbox, invoice, sandbox.now())
    if invoice["status"] == "open":
        invoices.moved_to(sandbox, invoice, _ASIDE[behavior], at=sandbox.now())


def cancel(sandbox: Sandbox, subscription: Json, at: int, *, is_billed: bool) -> Json:
    """End a subscription; `is_billed`: its usage until now and what is pending go on a last invoice."""
    start, _ = period_of(subscription)
    after = subscription
    if is_billed and _has_last_invoice(sandbox, subscription):
        ending = subscription | {"status": "canceled"}
        invoice, ending = open_draft(
            sandbox, ending, period_start=start, period_end=at, reason="subscription_cycle", is_licensed=False
        )
        after = kept(sandbox, subscription, ending | {"status": subscription["status"]})
        advance_later(sandbox, after, invoice)
    _stop_collecting(sandbox, subscription)
    reason = subscription["cancellation_details"]["reason"] or "cancellation_requested"
    return ended(sandbox, after, "canceled", reason=reason)


def _stop_collecting(sandbox: Sandbox, subscription: Json) -> None:
    """Leave open invoices of a subscription that ends to whoever pays them by hand."""
    for invoice in sandbox.store.find("invoice", "subscription", subscription["id"]):
        if invoice["status"] == "open":
            sandbox.store.put(invoice | {"auto_advance": False, "next_payment_attempt": None})
            plan(sandbox, invoices.RETRY, invoice, at=None)


def has_payment_method(sandbox: Sandbox, subscription: Json) -> bool:
    """Return whether a subscription's invoices can be charged."""
    customer = sandbox.store.get("customer", subscription["customer"])
    own = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    return own is not None


def _expire(sandbox: Sandbox, subscription: Json, at: int) -> None:
    after = ended(sandbox, subscription, "incomplete_expired")
    invoice = sandbox.store.get("invoice", after["latest_invoice"])
    if invoice["status"] == "open":
        invoices.moved_to(sandbox, invoice, "void", at=at)


def _end_trial(sandbox: Sandbox, subscription: Json, at: int) -> None:
    """Begin the first period that is paid for; without a payment method, what the subscription says."""
    behavior = subscription["trial_settings"]["end_behavior"]
    missing = behavior["missing_payment_method"]
    is_charged = subscription["collection_method"] == "charge_automatically"
    if missing != "create_invoice" and is_charged and not has_payment_method(sandbox, subscription):
        if missing == "cancel":
            cancel(sandbox, subscription, at, is_billed=False)
        else:
            pause(sandbox, subscription, at)
        return
    keeps_anchor = behavior.get("billing_cycle_anchor") == "unchanged"
    anchor = subscription["billing_cycle_anchor"] if keeps_anchor else at
    items = [item | {"_usage_since": at} for item in subscription["items"]["data"]]
    renew(
        sandbox,
        subscription,
        at,
        reason="subscription_cycle",
        status="active",
        billing_cycle_anchor=anchor,
        items=subscription["items"] | {"data": items},
    )


def pause(sandbox: Sandbox, subscription: Json, at: int) -> None:
    """Let a subscription rest whose trial ended without a payment method, until it is resumed."""
    details = {
        "paused": {
            "subscription": {"type": "trial_end_without_payment_method"},
            "transitioned_at": at,
            "type": "subscription",
        }
    }
    after = subscription | {"status": "paused", "status_details": details}
    kept(sandbox, subscription, after, event="customer.subscription.paused")


def _has_last_invoice(sandbox: Sandbox, subscription: Json) -> bool:
    if any(is_metered(item) for item in subscription["items"]["data"]):
        return True
    pending = sandbox.store.find("invoiceitem", "customer", subscription["customer"])
    return any(item["invoice"] is None and subscription_of(item) == subscription["id"] for item in pending)


WORKS: Final = {STEP: step, WILL_END: tell_trial_will_end, _SET_ASIDE: set_aside}
