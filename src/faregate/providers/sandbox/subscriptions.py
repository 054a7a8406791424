"""Subscriptions: made, changed, cancelled, resumed (docs.stripe.com/api/subscriptions)."""

from __future__ import annotations

from typing import Final

from stripe.params._subscription_cancel_params import SubscriptionCancelParams
from stripe.params._subscription_create_params import SubscriptionCreateParams
from stripe.params._subscription_delete_discount_params import SubscriptionDeleteDiscountParams
from stripe.params._subscription_list_params import SubscriptionListParams
from stripe.params._subscription_resume_params import SubscriptionResumeParams
from stripe.params._subscription_retrieve_params import SubscriptionRetrieveParams
from stripe.params._subscription_update_params import SubscriptionUpdateParams

from faregate.providers.sandbox.asking import (
    Asked,
    Route,
    Sandbox,
    created_in,
    is_as_sent,
    page_of,
    refuse_others,
    retrieved,
)
from faregate.providers.sandbox.customers import required_customer
from faregate.providers.sandbox.faults import Json, refused
from faregate.providers.sandbox.invoice_payments import bill
from faregate.providers.sandbox.prorations import charge, credit_unused
from faregate.providers.sandbox.subscription_changes import COMMON, cancellation, change, require_paid
from faregate.providers.sandbox.subscription_course import (
    advance_later,
    cancel,
    open_draft,
    period_of,
    renew,
    rolled,
    schedule,
)
from faregate.providers.sandbox.subscription_periods import first_anchor, period_at
from faregate.providers.sandbox.subscription_shape import (
    blank_subscription,
    common_fields,
    new_item,
    trial_end,
    with_items,
)
from faregate.providers.sandbox.subscription_states import kept
from faregate.providers.sandbox.times import in_time_of

_KNOWN: Final = COMMON | {
    "backdate_start_date",
    "billing_cycle_anchor",
    "billing_cycle_anchor_config",
    "billing_mode",
    "currency",
    "customer",
    "trial_period_days",
}
_MOST_ON_A_CLOCK: Final = 3
_ENDED: Final = frozenset({"canceled", "incomplete_expired"})


def make_subscription(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a subscription."""
    sent = asked.parameters
    return subscribe(sandbox, required_customer(sandbox, sent), sent)


def subscribe(sandbox: Sandbox, customer: Json, sent: Json) -> Json:
    """Make a subscription of a customer, now in its time, with its first invoice; return it.

    `sent`: the parameters of a creation. Raises `StripeFault` for what is refused.
    """
    refuse_others(sent, _KNOWN, "a subscription's creation")
    if sent.get("payment_behavior") == "pending_if_incomplete":
        raise refused("`pending_if_incomplete` is only of updates.", param="payment_behavior")
    _refuse_more_on_a_clock(sandbox, customer)
    sandbox = in_time_of(sandbox, customer)
    now = sandbox.now()
    body = blank_subscription(sandbox.new_id("sub"), customer, now=now)
    listed = sent.get("items") or []
    items = [new_item(sandbox, body["id"], one, at=f"items[{place}]") for place, one in enumerate(listed)]
    body = with_items(body, items)
    if str(sent.get("currency", body["currency"])).lower() != body["currency"]:
        raise refused("The currency must be the prices'.", param="currency")
    body |= common_fields(sandbox, sent, before=body, customer=customer) | _begin(sandbox, body, sent)
    body = rolled(body, now)
    body |= cancellation(body, sent, now)
    return _begun(sandbox, body, sent)


def _begin(sandbox: Sandbox, body: Json, sent: Json) -> Json:
    """Return the fields of a subscription's beginning: its anchor, its trial, and where it is dated back to."""
    now = sandbox.now()
    mode = sent.get("billing_mode", {"type": "flexible"})
    flexible = {"proration_discounts": "included"} | mode.get("flexible", {}) if mode["type"] == "flexible" else None
    fields: Json = {"billing_mode": {"flexible": flexible, "type": mode["type"], "updated_at": now}}
    start = sent.get("backdate_start_date", now)
    if start > now:
        raise refused("`backdate_start_date` must be in the past.", param="backdate_start_date")
    end = trial_end(sandbox, sent, start=now)
    fields |= {"start_date": start, "billing_cycle_anchor": _anchor(body, sent, now, at_least=end or now)}
    if end is not None:
        fields |= {"status": "trialing", "trial_start": now, "trial_end": end}
    if "billing_cycle_anchor_config" in sent:
        blank = dict.fromkeys(("day_of_month", "hour", "minute", "month", "second"))
        fields["billing_cycle_anchor_config"] = blank | sent["billing_cycle_anchor_config"]
    return fields


def _anchor(body: Json, sent: Json, now: int, *, at_least: int) -> int:
    """Return the anchor: one that was sent lies ahead, within an interval."""
    if "billing_cycle_anchor_config" in sent:
        if "billing_cycle_anchor" in sent:
            raise refused("Set only one anchor.", param="billing_cycle_anchor_config")
        anchor = first_anchor(sent["billing_cycle_anchor_config"], now)
    else:
        anchor = sent.get("billing_cycle_anchor", at_least)
    recurring = body["items"]["data"][0]["price"]["recurring"]
    if anchor < now:
        raise refused("`billing_cycle_anchor` must be in the future.", param="billing_cycle_anchor")
    if "billing_cycle_anchor" in sent and anchor > period_at(at_least, recurring, at_least)[1]:
        message = "`billing_cycle_anchor` cannot be later than the next natural billing date."
        raise refused(message, param="billing_cycle_anchor")
    return anchor


def _begun(sandbox: Sandbox, body: Json, sent: Json) -> Json:
    """Keep a new subscription, and bill its beginning."""
    sandbox.store.add(body, customer=body["customer"])
    for item in body["items"]["data"]:
        sandbox.store.add(item, subscription=body["id"])
    now, start = sandbox.now(), body["start_date"]
    is_part = body["billing_cycle_anchor"] > now and body["status"] != "trialing"
    if sent.get("proration_behavior") != "none":
        for item in body["items"]["data"]:
            if is_part:
                charge(sandbox, body, item, start=now, end=item["current_period_end"])
            charge(sandbox, body, item, start=start, end=now)
    # Usage since the date that it is dated back to is billed by the first period's end.
    dated = [item | {"current_period_start": start} for item in body["items"]["data"]]
    invoice, billed = open_draft(
        sandbox, body, period_start=now, period_end=now, reason="subscription_create", is_licensed=not is_part
    )
    billed = billed | {"items": body["items"] | {"data": dated}}
    if billed["collection_method"] == "send_invoice":
        billed = _kept_new(sandbox, billed)
        advance_later(sandbox, billed, invoice)
        schedule(sandbox, billed)
        return billed
    is_owed = invoice["amount_due"] > 0 and billed["status"] == "active"
    behavior = sent.get("payment_behavior", "allow_incomplete")
    _kept_new(sandbox, billed | ({"status": "incomplete"} if is_owed else {}))
    invoice = bill(sandbox, invoice, is_collected=behavior != "default_incomplete")
    if behavior == "error_if_incomplete":
        require_paid(invoice)
    body = sandbox.store.get("subscription", body["id"])
    schedule(sandbox, body)
    return body


def _kept_new(sandbox: Sandbox, body: Json) -> Json:
    """Keep a new subscription as it is now, and tell of it."""
    for item in body["items"]["data"]:
        sandbox.store.put(item)
    sandbox.store.put(body)
    sandbox.tell("customer.subscription.created", body)
    return body


def change_subscription(sandbox: Sandbox, asked: Asked) -> Json:
    """Change a subscription."""
    return change(sandbox, sandbox.store.get("subscription", asked.ids[0]), asked.parameters)


def cancel_subscription(sandbox: Sandbox, asked: Asked) -> Json:
    """End a subscription now; its usage is billed only with `invoice_now`, its time given back only with `prorate`."""
    sent = asked.parameters
    body = sandbox.store.get("subscription", asked.ids[0])
    if body["ended_at"] is not None:
        raise refused(f"No such subscription: '{body['id']}'", param="id", code="resource_missing")
    sandbox = in_time_of(sandbox, body)
    if "cancellation_details" in sent:
        body["cancellation_details"] = body["cancellation_details"] | sent["cancellation_details"]
    if sent.get("prorate", False):
        credit_unused(sandbox, body, sandbox.now())
    return cancel(sandbox, body, sandbox.now(), is_billed=sent.get("invoice_now", False))


def resume_subscription(sandbox: Sandbox, asked: Asked) -> Json:
    """Let a paused subscription go on, from now or by its old anchor, once its invoice is paid."""
    sent = asked.parameters
    body = sandbox.store.get("subscription", asked.ids[0])
    refuse_others(sent, frozenset({"billing_cycle_anchor", "proration_behavior", "payment_behavior"}), "a resumption")
    if body["status"] != "paused":
        raise refused("Only a paused subscription can be resumed.", param="id")
    sandbox = in_time_of(sandbox, body)
    now = sandbox.now()
    anchor = body["billing_cycle_anchor"] if sent.get("billing_cycle_anchor", {}).get("type") == "unchanged" else now
    items = [item | {"_usage_since": now} for item in body["items"]["data"]]
    fields = {"status": "active", "status_details": None, "billing_cycle_anchor": anchor}
    invoice = renew(sandbox, body, now, reason="subscription_update", **fields, items=body["items"] | {"data": items})
    bill(sandbox, invoice)
    body = sandbox.store.get("subscription", body["id"])
    sandbox.tell("customer.subscription.resumed", body)
    schedule(sandbox, body)
    return body


def drop_discounts(sandbox: Sandbox, asked: Asked) -> Json:
    """Take a subscription's discount away."""
    body = sandbox.store.get("subscription", asked.ids[0])
    if not body["discounts"]:
        raise refused("This subscription has no discount.", param="id", code="resource_missing")
    gone = sandbox.store.get("discount", body["discounts"][-1])
    kept(sandbox, body, body | {"discounts": body["discounts"][:-1]})
    sandbox.tell("customer.discount.deleted", gone)
    return gone | {"deleted": True}


def list_subscriptions(sandbox: Sandbox, asked: Asked) -> Json:
    """List subscriptions; without a `status`, those that are not canceled."""
    sent = asked.parameters
    refuse_others(
        sent,
        frozenset(
            {
                "collection_method",
                "created",
                "current_period_end",
                "current_period_start",
                "customer",
                "price",
                "status",
            }
        )
        | {"test_clock", "limit", "starting_after", "ending_before"},
        "a list of subscriptions",
    )

    def wanted(body: Json) -> bool:
        start, end = period_of(body)
        return (
            _is_wanted(body["status"], sent.get("status"))
            and is_as_sent(body, sent, "customer", "collection_method", "test_clock")
            and sent.get("price", None) in {None, *(item["price"]["id"] for item in body["items"]["data"])}
            and created_in(sent.get("created"), body["created"])
            and created_in(sent.get("current_period_start"), start)
            and created_in(sent.get("current_period_end"), end)
        )

    store = sandbox.store
    customer = sent.get("customer")
    found = store.newest_first("subscription") if customer is None else store.find("subscription", "customer", customer)
    return page_of(asked, found, wanted)


def _is_wanted(status: str, asked_for: str | None) -> bool:
    if asked_for is None:
        return status not in _ENDED
    return asked_for == "all" or (status in _ENDED if asked_for == "ended" else status == asked_for)


def _refuse_more_on_a_clock(sandbox: Sandbox, customer: Json) -> None:
    if customer["test_clock"] is not None:
        found = sandbox.store.find("subscription", "customer", customer["id"])
        if sum(each["ended_at"] is None for each in found) >= _MOST_ON_A_CLOCK:
            message = f"A customer on a test clock can have at most {_MOST_ON_A_CLOCK} subscriptions."
            raise refused(message, param="customer", code="test_clock_limit_exceeded")


_PATH: Final = "/v1/subscriptions"
_ONE: Final = f"{_PATH}/{{}}"

ROUTES = [
    Route(method="POST", path=_PATH, parameters=SubscriptionCreateParams, answer=make_subscription),
    Route(method="GET", path=_PATH, parameters=SubscriptionListParams, answer=list_subscriptions),
    Route(method="GET", path=_ONE, parameters=SubscriptionRetrieveParams, answer=retrieved("subscription")),
    Route(method="POST", path=_ONE, parameters=SubscriptionUpdateParams, answer=change_subscription),
    Route(method="DELETE", path=_ONE, parameters=SubscriptionCancelParams, answer=cancel_subscription),
    Route(method="POST", path=f"{_ONE}/resume", parameters=SubscriptionResumeParams, answer=resume_subscription),
    Route(method="DELETE", path=f"{_ONE}/discount", parameters=SubscriptionDeleteDiscountParams, answer=drop_discounts),
]
