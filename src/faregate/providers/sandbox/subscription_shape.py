"""What a request says of a subscription, checked, as the subscription's own fields and items."""

from __future__ import annotations

from typing import Any, Final

from faregate.providers.sandbox.asking import Asked, Sandbox, merged_metadata, refuse_others
from faregate.providers.sandbox.coupons import redeem
from faregate.providers.sandbox.faults import Json, lacking, refused
from faregate.providers.sandbox.payment_methods import require_of_customer
from faregate.providers.sandbox.prices import make_price
from faregate.providers.sandbox.tax import named_tax_rates

MOST_ITEMS: Final = 20

_DAY_S: Final = 86_400
_MOST_TRIAL_S: Final = 2 * 366 * _DAY_S
_ITEM_KNOWN: Final = frozenset(
    {"id", "price", "price_data", "quantity", "metadata", "tax_rates", "discounts", "deleted", "clear_usage"}
)


def common_fields(sandbox: Sandbox, sent: Json, *, before: Json, customer: Json) -> Json:
    """Return the fields that a creation and a change have alike, as far as they were sent."""
    fields: Json = {}
    if "metadata" in sent:
        fields["metadata"] = merged_metadata(before["metadata"], sent["metadata"])
    if "description" in sent:
        fields["description"] = sent["description"]
    if "default_payment_method" in sent:
        name = sent["default_payment_method"]
        method = require_of_customer(sandbox, name, customer, param="default_payment_method") if name else None
        fields["default_payment_method"] = None if method is None else method["id"]
    if "default_tax_rates" in sent:
        rates = sent["default_tax_rates"]
        fields["default_tax_rates"] = named_tax_rates(sandbox, rates or None, param="default_tax_rates")
    if "automatic_tax" in sent:
        fields["automatic_tax"] = _NO_TAX | {"enabled": sent["automatic_tax"]["enabled"]}
    if "discounts" in sent:
        fields["discounts"] = [each["id"] for each in redeem(sandbox, sent["discounts"] or [], holder=before)]
    for name in ("payment_settings", "invoice_settings", "trial_settings"):
        if name in sent:
            fields[name] = before[name] | sent[name]
    return fields | _collection(before, sent)


def _collection(before: Json, sent: Json) -> Json:
    method = sent.get("collection_method", before["collection_method"])
    days = sent.get("days_until_due", before["days_until_due"])
    if method != "send_invoice":
        if "days_until_due" in sent:
            message = "You can only set `days_until_due` if `collection_method` is set to `send_invoice`."
            raise refused(message, param="days_until_due")
        days = None
    elif days is None:
        message = "If `collection_method` is set to `send_invoice`, you must set `days_until_due`."
        raise refused(message, param="days_until_due", code="parameter_missing")
    elif days < 0:
        raise refused("Invalid integer: must be greater than or equal to 0", param="days_until_due")
    return {"collection_method": method, "days_until_due": days}


_NO_TAX: Final[Json] = {"disabled_reason": None, "enabled": False, "liability": {"type": "self"}}


def blank_subscription(identifier: str, customer: Json, *, now: int) -> Json:
    """Return a subscription of a customer that has begun now and says nothing of its own."""
    body: Json = dict.fromkeys(
        [
            "application", "application_fee_percent", "billing_cycle_anchor_config", "billing_thresholds", "cancel_at",
            "canceled_at", "customer_account", "days_until_due", "default_payment_method", "default_source",
            "description", "ended_at", "latest_invoice", "managed_payments", "next_pending_invoice_item_invoice",
            "on_behalf_of", "pause_collection", "pending_invoice_item_interval", "pending_setup_intent",
            "pending_update", "schedule", "status_details", "transfer_data", "trial_end", "trial_start",
        ]
    )  # fmt: skip
    return body | {
        "id": identifier,
        "object": "subscription",
        "automatic_tax": _NO_TAX,
        "billing_cycle_anchor": now,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": now},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": {"comment": None, "feedback": None, "feedback_option": None, "reason": None},
        "collection_method": "charge_automatically",
        "created": now,
        "currency": "",
        "customer": customer["id"],
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "custom_fields": None, "description": None, "footer": None}
        | {"issuer": {"type": "self"}},
        "items": {
            "object": "list",
            "data": [],
            "has_more": False,
            "total_count": 0,
            "url": f"/v1/subscription_items?subscription={identifier}",
        },
        "livemode": False,
        "metadata": {},
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "start_date": now,
        "status": "active",
        "test_clock": customer["test_clock"],
        "_credits_at_end": True,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }


def with_items(subscription: Json, items: list[Json]) -> Json:
    """Return a subscription of these items, which must go together."""
    prices = [item["price"]["id"] for item in items]
    if not items or len(items) > MOST_ITEMS:
        raise refused(f"A subscription has 1 to {MOST_ITEMS} items.", param="items")
    if len(set(prices)) != len(prices):
        raise refused("Cannot add multiple subscription items with the same plan.", param="items")
    if len({item["price"]["currency"] for item in items}) > 1:
        raise refused("The prices of a subscription must have one currency.", param="items")
    if len({interval_of(item) for item in items}) > 1:
        raise refused("The sandbox keeps one interval a subscription: prices must recur alike", param="items")
    listed = subscription["items"] | {"data": items, "total_count": len(items)}
    return subscription | {"items": listed, "currency": items[0]["price"]["currency"]}


def sold_price(sandbox: Sandbox, sent: Json, *, at: str) -> Json:
    """Return the price that an item is to have; raises `StripeFault` for one that can't be subscribed to."""
    if ("price" in sent) is ("price_data" in sent):
        raise refused(f"Set `{at}[price]`.", param=f"{at}[price]", code="parameter_missing")
    if "price_data" in sent:
        price = make_price(sandbox, Asked(url="/v1/prices", ids=(), parameters=sent["price_data"] | {"active": False}))
        return sandbox.store.get("price", price["id"])
    price = sandbox.store.get("price", sent["price"], param=f"{at}[price]")
    if price["type"] != "recurring":
        message = "The price specified is set to `type=one_time` but this field only accepts prices with"
        raise refused(f"{message} `type=recurring`.", param=f"{at}[price]")
    if not price["active"]:
        raise refused(f"The price specified is inactive: {price['id']}.", param=f"{at}[price]")
    return price


def item_fields(sandbox: Sandbox, item: Json, sent: Json, *, at: str) -> Json:
    """Return an item with what was sent for it."""
    refuse_others(sent, _ITEM_KNOWN, "a subscription item")
    after = dict(item)
    if "price" in sent or "price_data" in sent:
        is_same = sent.get("price") == (item["price"] or {}).get("id")
        after["price"] = item["price"] if is_same else sold_price(sandbox, sent, at=at)
    is_metered = after["price"]["recurring"]["usage_type"] == "metered"
    if sent.get("clear_usage") and not is_metered:
        raise refused("Only metered prices have usage to clear.", param="clear_usage")
    if is_metered and "quantity" in sent:
        raise refused("You cannot set the quantity for metered plans.", param=f"{at}[quantity]")
    quantity: Any = None if is_metered else sent.get("quantity", item.get("quantity") or 1)
    if quantity is not None and quantity < 0:
        raise refused("Invalid non-negative integer", param=f"{at}[quantity]", code="parameter_invalid_integer")
    if is_metered:
        after.pop("quantity", None)
    else:
        after["quantity"] = quantity
    if "metadata" in sent:
        after["metadata"] = merged_metadata(item["metadata"], sent["metadata"])
    if "tax_rates" in sent:
        after["tax_rates"] = named_tax_rates(sandbox, sent["tax_rates"] or None, param=f"{at}[tax_rates]")
    if sent.get("discounts"):
        raise refused("The sandbox has discounts of subscriptions, not of their items", param=f"{at}[discounts]")
    return after


def new_item(sandbox: Sandbox, subscription: str, sent: Json, *, at: str) -> Json:
    """Return a new item, without its period."""
    blank: Json = {
        "id": sandbox.new_id("si"),
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": sandbox.now(),
        "current_period_end": 0,
        "current_period_start": 0,
        "current_trial": None,
        "discounts": [],
        "metadata": {},
        "price": None,
        "quantity": None,
        "subscription": subscription,
        "tax_rates": [],
    }
    if "price" not in sent and "price_data" not in sent:
        raise lacking(f"{at}[price]")
    return item_fields(sandbox, blank, sent, at=at)


def trial_end(sandbox: Sandbox, sent: Json, *, start: int) -> int | None:
    """Return when a trial that is asked for ends; None for none."""
    if "trial_end" in sent and "trial_period_days" in sent:
        raise refused("Set only one of `trial_end` and `trial_period_days`.", param="trial_period_days")
    if sent.get("trial_from_plan"):
        raise refused("The sandbox knows trials of subscriptions, not of plans", param="trial_from_plan")
    if "trial_period_days" in sent:
        days = sent["trial_period_days"]
        if days < 1:
            raise refused("Invalid integer: must be greater than or equal to 1", param="trial_period_days")
        end: int = start + days * _DAY_S
    elif sent.get("trial_end", "now") == "now":
        return None
    else:
        end = sent["trial_end"]
    if not sandbox.now() < end <= sandbox.now() + _MOST_TRIAL_S:
        raise refused("A trial ends in the future, within two years.", param="trial_end")
    return end


def interval_of(item: Json) -> tuple[str, int]:
    """Return how an item's price recurs: the interval, and how many of it."""
    recurring = item["price"]["recurring"]
    return recurring["interval"], recurring["interval_count"]
