"""Changes of a subscription while it runs: items, trial, anchor, cancellation, pauses, with their prorations."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from faregate.providers.sandbox.asking import Sandbox, refuse_others
from faregate.providers.sandbox.faults import Json, StripeFault, refused
from faregate.providers.sandbox.invoice_payments import bill
from faregate.providers.sandbox.prorations import bill_usage, charge, credit, is_metered
from faregate.providers.sandbox.subscription_course import open_draft, period_of, renew, schedule
from faregate.providers.sandbox.subscription_shape import (
    common_fields,
    interval_of,
    item_fields,
    new_item,
    trial_end,
    with_items,
)
from faregate.providers.sandbox.subscription_states import kept
from faregate.providers.sandbox.times import in_time_of

COMMON: Final = frozenset(
    {
        "automatic_tax", "cancel_at", "cancel_at_period_end", "collection_method", "days_until_due",
        "default_payment_method", "default_tax_rates", "description", "discounts", "invoice_settings", "items",
        "metadata", "off_session", "payment_behavior", "payment_settings", "proration_behavior", "trial_end",
        "trial_from_plan", "trial_settings",
    }
)  # fmt: skip
"""What a creation and a change have alike."""

_KNOWN: Final = COMMON | {"billing_cycle_anchor", "cancellation_details", "pause_collection", "proration_date"}
_AFTER_END: Final = frozenset({"metadata", "cancellation_details"})
_WHILE_INCOMPLETE: Final = frozenset({"metadata", "default_payment_method", "description", "payment_settings"})


def change(sandbox: Sandbox, subscription: Json, sent: Json) -> Json:
    """Change a subscription now, in its customer's time; return it."""
    refuse_others(sent, _KNOWN, "a subscription's change")
    customer = sandbox.store.get("customer", subscription["customer"])
    sandbox = in_time_of(sandbox, customer)
    _refuse_by_state(subscription, sent)
    after = subscription | common_fields(sandbox, sent, before=subscription, customer=customer)
    if "cancellation_details" in sent:
        after["cancellation_details"] = after["cancellation_details"] | sent["cancellation_details"]
    if "pause_collection" in sent:
        paused = sent["pause_collection"]
        after["pause_collection"] = None if paused is None else {"resumes_at": None} | paused
    if "items" in sent:
        after = with_items(after, _items(sandbox, after, sent["items"]))
    after |= cancellation(after, sent, sandbox.now())
    kept(sandbox, subscription, after)
    invoice = _billed_change(sandbox, sent, before=subscription, after=after)
    if invoice is not None and sent.get("payment_behavior") == "error_if_incomplete":
        require_paid(invoice)
    after = sandbox.store.get("subscription", subscription["id"])
    schedule(sandbox, after)
    return after


def cancellation(subscription: Json, sent: Json, now: int) -> Json:
    """Return when a subscription is to end, of `cancel_at` and `cancel_at_period_end`."""
    if "cancel_at" in sent and "cancel_at_period_end" in sent:
        raise refused("Set only one of `cancel_at` and `cancel_at_period_end`.", param="cancel_at")
    end = period_of(subscription)[1]
    at: Any = subscription["cancel_at"]
    is_at_end = subscription["cancel_at_period_end"]
    if "cancel_at_period_end" in sent:
        is_at_end = sent["cancel_at_period_end"]
        at = end if is_at_end else None if subscription["cancel_at_period_end"] else at
    elif "cancel_at" in sent:
        at = end if isinstance(sent["cancel_at"], str) else sent["cancel_at"]
        is_at_end = False
        if at is not None and at <= now:
            raise refused("`cancel_at` must be in the future.", param="cancel_at")
    if at == subscription["cancel_at"]:
        return {}
    reason = None if at is None else "cancellation_requested"
    return {
        "cancel_at": at,
        "cancel_at_period_end": is_at_end,
        "canceled_at": None if at is None else now,
        "cancellation_details": subscription["cancellation_details"] | {"reason": reason},
        "_credits_at_end": sent.get("proration_behavior") != "none",
    }


def require_paid(invoice: Json) -> None:
    """Refuse what needs a payment that could not be taken (`payment_behavior=error_if_incomplete`)."""
    if invoice["status"] == "open":
        message = "Your card was declined: the first payment could not be taken."
        raise StripeFault(message, status=HTTPStatus.PAYMENT_REQUIRED, kind="card_error", code="card_declined")


def _refuse_by_state(subscription: Json, sent: Json) -> None:
    allowed = None
    if subscription["ended_at"] is not None:
        allowed = _AFTER_END
    elif subscription["status"] == "incomplete":
        allowed = _WHILE_INCOMPLETE
    for name in sorted(sent.keys() - (allowed or sent.keys())):
        message = (
            f"A subscription that is `{subscription['status']}` can only change {', '.join(sorted(allowed or ()))}."
        )
        raise refused(message, param=name)
    if sent.get("payment_behavior") == "pending_if_incomplete":
        raise refused("The sandbox has no pending updates", param="payment_behavior")


def _items(sandbox: Sandbox, subscription: Json, sent: list[Json]) -> list[Json]:
    """Return a subscription's items with what was sent of them: changed, taken away, added."""
    items = {item["id"]: item for item in subscription["items"]["data"]}
    start, end = period_of(subscription)
    for place, one in enumerate(sent):
        at = f"items[{place}]"
        if "id" not in one:
            period = {"current_period_start": start, "current_period_end": end}
            added = new_item(sandbox, subscription["id"], one, at=at) | period
            items[added["id"]] = added | {"_usage_since": sandbox.now()}
        elif one["id"] not in items:
            raise refused(f"No such subscription item: '{one['id']}'", param=f"{at}[id]", code="resource_missing")
        else:
            before = items[one["id"]]
            after = item_fields(sandbox, before, one, at=at)
            if one.get("deleted"):
                del items[one["id"]]
                continue
            if after["price"]["id"] != before["price"]["id"]:
                after["_usage_since"] = sandbox.now()
            items[one["id"]] = after
    return list(items.values())


def _billed_change(sandbox: Sandbox, sent: Json, *, before: Json, after: Json) -> Json | None:
    """Bill what a change costs now, and put the rest on the next invoice; return the invoice that it made."""
    behavior = sent.get("proration_behavior", "create_prorations")
    at = sent.get("proration_date", sandbox.now())
    start, end = period_of(before)
    if not start <= at <= end:
        raise refused("`proration_date` must be in the current period.", param="proration_date")
    restart = _restart(sandbox, sent, before=before, after=after)
    is_changed = False
    if behavior != "none":
        is_changed = _prorate(sandbox, before, after, at=at, is_restart=restart is not None)
    if restart is not None:
        invoice = renew(sandbox, after, sandbox.now(), reason="subscription_update", **restart)
        return bill(sandbox, invoice)
    if behavior == "always_invoice" and is_changed:
        now = sandbox.now()
        invoice, billed = open_draft(
            sandbox, after, period_start=now, period_end=now, reason="subscription_update", is_metered=False,
            is_licensed=False,
        )  # fmt: skip
        kept(sandbox, after, billed)
        return bill(sandbox, invoice)
    return None


def _restart(sandbox: Sandbox, sent: Json, *, before: Json, after: Json) -> Json | None:
    """Return the fields with which a new period begins at once; None where the current one goes on."""
    now = sandbox.now()
    if "trial_end" in sent:
        end = trial_end(sandbox, sent, start=now)
        if end is None and before["status"] == "trialing":
            return {"status": "active", "trial_end": now, "billing_cycle_anchor": now}
        if end is not None:
            begun = before["trial_start"] if before["status"] == "trialing" else now
            return {"status": "trialing", "trial_start": begun, "trial_end": end, "billing_cycle_anchor": end}
    is_active = after["status"] in {"active", "past_due"}
    old, new = (interval_of(each["items"]["data"][0]) for each in (before, after))
    if is_active and (sent.get("billing_cycle_anchor", {}).get("type") == "now" or old != new):
        return {"billing_cycle_anchor": now}
    return None


def _prorate(sandbox: Sandbox, before: Json, after: Json, *, at: int, is_restart: bool) -> bool:
    """Give back and charge the time that is left of items that changed, all of them where a new period begins."""
    if before["status"] == "trialing":
        return False
    olds = {item["id"]: item for item in before["items"]["data"]}
    news = {item["id"]: item for item in after["items"]["data"]}
    changed = [name for name in {**olds, **news} if _costs(olds.get(name)) != _costs(news.get(name))]
    is_flexible = before["billing_mode"]["type"] == "flexible"
    for name in {**olds, **news}:
        old, new = olds.get(name), news.get(name)
        if old is not None and (name in changed or is_restart):
            if not is_metered(old):
                credit(sandbox, before, old, at=at)
            elif is_flexible and name in changed:
                bill_usage(sandbox, before, old, until=at)
        if new is not None and name in changed and not is_restart:
            charge(sandbox, after, new, start=at, end=new["current_period_end"])
    return bool(changed)


def _costs(item: Json | None) -> tuple[str, int | None] | None:
    return None if item is None else (item["price"]["id"], item.get("quantity"))
