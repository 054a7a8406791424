"""Offer coupons, give them to subscriptions and take them away; `discounts.py` takes them off invoices."""

from __future__ import annotations

from dataclasses import replace

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.limits import MAX_COUPONS
from faregate.domain.billing.coupons import FixedCoupon, GivenCoupon
from faregate.domain.customers.subscription import Subscription
from faregate.services.change import Change
from faregate.services.subscriptions import find_existing
from faregate.storage import coupons as stored
from faregate.storage.coupons import CouponRow
from faregate.storage.database import Transaction
from faregate.storage.ledger import lock_accounts
from faregate.wire.api.coupons import CouponCreate, to_offer


def create_coupon(transaction: Transaction, change: Change, request: CouponCreate) -> CouponRow:
    """Offer a coupon; a repeat of the same one answers with it.

    Raises `InvalidInput` on what cannot be and `Conflict` on `coupon_id` where another one stands under that id.
    """
    offer = to_offer(request)
    standing = stored.find_coupon(transaction, change.application_id, offer.coupon_id)
    if standing is not None:
        if standing.offer == offer:
            return standing
        message = f"there is already a coupon {offer.coupon_id!r} with other terms, and coupons never change"
        raise Conflict("coupon_id", message)
    if offer.redeem_by is not None and offer.redeem_by <= change.now:
        raise InvalidInput.of("redeem_by", f"must be in the future; it is {change.now.isoformat()}")
    row = CouponRow(offer=offer, redemptions=0, created_at=change.now, archived_at=None)
    stored.insert_coupon(transaction, change.application_id, row)
    return row


def archive_coupon(transaction: Transaction, change: Change, coupon_id: str) -> CouponRow:
    """Let a coupon be given no more; those that have it keep it. A repeat changes nothing."""
    row = find_coupon(transaction, change.application_id, coupon_id)
    if row.archived_at is not None:
        return row
    stored.set_archived(transaction, change.application_id, coupon_id, at=change.now)
    return replace(row, archived_at=change.now)


def find_coupon(transaction: Transaction, application_id: str, coupon_id: str) -> CouponRow:
    """Return the coupon; `NotFound` if there is none of that id."""
    row = stored.find_coupon(transaction, application_id, coupon_id)
    if row is None:
        raise NotFound("coupon", coupon_id)
    return row


def give_coupon(
    transaction: Transaction, change: Change, *, subscription_id: str, coupon_id: str, caller_id: str
) -> GivenCoupon:
    """Give a subscription a coupon, from its open period on; a repeated `caller_id` answers with the first one.

    Raises `NotFound` for an unknown subscription, `InvalidInput` on `coupon_id` for a coupon that there is not or that
    is of another currency, and `Conflict` where it can no longer be given, or where the subscription has ended, has it,
    or has as many as it can have.
    """
    subscription = find_existing(transaction, change.application_id, subscription_id).subscription
    lock_accounts(transaction, [subscription_id])  # two at once would both find the coupon missing
    repeated = stored.find_redemption(transaction, subscription_id, caller_id)
    if repeated is not None:
        if repeated.offer.coupon_id != coupon_id:
            message = (
                f"this Idempotency-Key gave the coupon {repeated.offer.coupon_id!r}; use another key for another one"
            )
            raise Conflict("coupon_id", message)
        return repeated
    ends_at = subscription.cycle.ends_at
    if ends_at is not None and ends_at <= change.now:
        raise Conflict("subscription_id", f"ended at {ends_at.isoformat()}, and no invoice is to come")
    row = stored.find_coupon(transaction, change.application_id, coupon_id, for_update=True)
    if row is None:
        raise InvalidInput.of("coupon_id", f"there is no coupon {coupon_id!r}")
    _require_fits(row, subscription)
    _require_open(row, change)
    active = [found for found in coupons_of(transaction, subscription_id) if found.is_active]
    if any(found.offer.coupon_id == coupon_id for found in active):
        raise Conflict("coupon_id", f"the subscription has the coupon {coupon_id!r} already")
    if len(active) >= MAX_COUPONS:
        raise Conflict("coupon_id", f"the subscription has {MAX_COUPONS} coupons already; remove one first")
    given = GivenCoupon(redemption_id=change.new_id("rdm"), offer=row.offer, given_at=change.now)
    stored.insert_redemption(
        transaction, change.application_id, given, subscription_id=subscription_id, caller_id=caller_id
    )
    return given


def remove_coupon(transaction: Transaction, change: Change, *, subscription_id: str, coupon_id: str) -> None:
    """Take a coupon off a subscription: the open period's invoice is without it. A repeat changes nothing.

    Raises `NotFound` where the subscription was never given it.
    """
    find_existing(transaction, change.application_id, subscription_id)
    found = [given for given in coupons_of(transaction, subscription_id) if given.offer.coupon_id == coupon_id]
    if not found:
        raise NotFound("coupon", coupon_id)
    active = [given.redemption_id for given in found if given.is_active]
    if active:
        stored.set_removed(transaction, active, at=change.now)


def coupons_of(transaction: Transaction, subscription_id: str) -> list[GivenCoupon]:
    """Return every coupon that a subscription was given, in that order."""
    return stored.coupons_of_subscription(transaction, subscription_id)


def _require_fits(row: CouponRow, subscription: Subscription) -> None:
    off = row.offer.off
    if isinstance(off, FixedCoupon) and off.currency != subscription.currency:
        message = f"takes off {off.currency.code}, and the subscription pays {subscription.currency.code}"
        raise InvalidInput.of("coupon_id", message)


def _require_open(row: CouponRow, change: Change) -> None:
    offer = row.offer
    if row.archived_at is not None:
        raise Conflict("coupon_id", f"the coupon {offer.coupon_id!r} is archived")
    if offer.redeem_by is not None and change.now >= offer.redeem_by:
        raise Conflict(
            "coupon_id", f"the coupon {offer.coupon_id!r} could be given until {offer.redeem_by.isoformat()}"
        )
    if offer.max_redemptions is not None and row.redemptions >= offer.max_redemptions:
        raise Conflict(
            "coupon_id", f"the coupon {offer.coupon_id!r} was given {row.redemptions} times, all that it can be"
        )
