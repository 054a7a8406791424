"""What a change in mid-period gives back and costs, to the second (docs.stripe.com/billing/subscriptions/prorations).

A licensed item's time is shared out exactly and rounded once. A metered item that goes is billed for what was used of
it, in billing mode `flexible`; `classic` drops that.
"""

from __future__ import annotations

from datetime import UTC, datetime

from faregate.providers.arithmetic import half_away_from_zero
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json
from faregate.providers.sandbox.invoice_items import new_item
from faregate.providers.sandbox.rating import rated, used
from faregate.providers.sandbox.subscription_periods import share_left


def is_metered(item: Json) -> bool:
    """Return whether an item's price is of a meter."""
    return bool(item["price"]["recurring"]["usage_type"] == "metered")


def credit(sandbox: Sandbox, subscription: Json, item: Json, *, at: int) -> None:
    """Give back the time of a licensed item that is left from an instant on."""
    _prorate(sandbox, subscription, item, start=at, end=item["current_period_end"], sign=-1, said="Unused time on")


def charge(sandbox: Sandbox, subscription: Json, item: Json, *, start: int, end: int) -> None:
    """Charge the time of a licensed item in [start, end), which ends a period."""
    _prorate(sandbox, subscription, item, start=start, end=end, sign=1, said="Remaining time on")


def credit_unused(sandbox: Sandbox, subscription: Json, at: int) -> None:
    """Give back the time that is left of all licensed items."""
    if subscription["status"] != "trialing":
        for item in subscription["items"]["data"]:
            if not is_metered(item):
                credit(sandbox, subscription, item, at=at)


def bill_usage(sandbox: Sandbox, subscription: Json, item: Json, *, until: int) -> None:
    """Put what was used of a metered item until an instant on the customer's next invoice."""
    start = max(item["current_period_start"], item.get("_usage_since", 0))
    quantity = used(sandbox, customer=subscription["customer"], price=item["price"], start=start, end=until)
    if quantity == 0 or subscription["status"] == "trialing":
        return
    amount = sum(part.amount for part in rated(item["price"], quantity))
    _pending(sandbox, subscription, item, start=start, end=until, amount=amount, quantity=quantity, said="Usage of")


def _prorate(sandbox: Sandbox, subscription: Json, item: Json, *, start: int, end: int, sign: int, said: str) -> None:
    if start >= end or is_metered(item):
        return
    share = share_left(subscription["billing_cycle_anchor"], item["price"]["recurring"], start=start, end=end)
    whole = sum(part.amount for part in rated(item["price"], item["quantity"]))
    amount = sign * half_away_from_zero(whole * share)
    _pending(sandbox, subscription, item, start=start, end=end, amount=amount, quantity=item["quantity"], said=said)


def _pending(
    sandbox: Sandbox, subscription: Json, item: Json, *, start: int, end: int, amount: int, quantity: int, said: str
) -> None:
    price = item["price"]
    name = sandbox.store.get("product", price["product"])["name"]
    day = datetime.fromtimestamp(end if is_metered(item) else start, UTC)
    when = f"{'until' if is_metered(item) else 'after'} {day.day} {day:%b %Y}"
    sent = {
        "amount": amount,
        "currency": price["currency"],
        "description": f"{said} {quantity} \u00d7 {name} {when}",
        "period": {"start": start, "end": end},
        "pricing": {"price": price["id"]},
        "quantity": quantity,
        "_metered": price["id"] if is_metered(item) else None,
    }
    new_item(
        sandbox,
        sandbox.store.get("customer", subscription["customer"]),
        sent,
        subscription=subscription["id"],
        subscription_item=item["id"],
        is_proration=True,
    )
