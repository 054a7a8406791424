"""Coupons, and which subscription was given which."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, insert, select, update

from faregate.base.money import currency
from faregate.domain.billing.coupons import CouponOffer, FixedCoupon, GivenCoupon, PercentCoupon
from faregate.storage.database import Transaction
from faregate.storage.tables import coupon, redemption


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponRow:
    """An offer, how often it was given, and since when it can no longer be."""

    offer: CouponOffer
    redemptions: int
    created_at: datetime
    archived_at: datetime | None


def insert_coupon(transaction: Transaction, application_id: str, row: CouponRow) -> None:
    """Keep a new coupon."""
    offer = row.offer
    transaction.execute(
        insert(coupon).values(
            application_id=application_id,
            coupon_id=offer.coupon_id,
            name=offer.name,
            percent=offer.off.percent if isinstance(offer.off, PercentCoupon) else None,
            amount=offer.off.amount if isinstance(offer.off, FixedCoupon) else None,
            currency=offer.off.currency.code if isinstance(offer.off, FixedCoupon) else None,
            periods=offer.periods,
            redeem_by=offer.redeem_by,
            max_redemptions=offer.max_redemptions,
            redemptions=row.redemptions,
            created_at=row.created_at,
            archived_at=row.archived_at,
        )
    )


def find_coupon(
    transaction: Transaction, application_id: str, coupon_id: str, *, for_update: bool = False
) -> CouponRow | None:
    """Return the coupon with the id; locked where the database has row locks, if it is about to be given."""
    statement = select(coupon).where(_is(application_id, coupon_id))
    row = transaction.execute(statement.with_for_update() if for_update else statement).first()
    return None if row is None else _coupon(row)


def list_coupons(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[CouponRow]:
    """Return coupons in id order, from the first one after `after`."""
    statement = (
        select(coupon)
        .where(coupon.c.application_id == application_id, coupon.c.coupon_id > after)
        .order_by(coupon.c.coupon_id)
        .limit(limit)
    )
    return [_coupon(row) for row in transaction.execute(statement)]


def set_archived(transaction: Transaction, application_id: str, coupon_id: str, *, at: datetime) -> None:
    """Record since when a coupon can no longer be given; one that was archived stays as it is."""
    transaction.execute(
        update(coupon).where(_is(application_id, coupon_id), coupon.c.archived_at.is_(None)).values(archived_at=at)
    )


def insert_redemption(
    transaction: Transaction, application_id: str, given: GivenCoupon, *, subscription_id: str, caller_id: str
) -> None:
    """Give a subscription a coupon, and count it."""
    transaction.execute(
        insert(redemption).values(
            redemption_id=given.redemption_id,
            application_id=application_id,
            subscription_id=subscription_id,
            coupon_id=given.offer.coupon_id,
            caller_id=caller_id,
            used=given.used,
            given_at=given.given_at,
            removed_at=given.removed_at,
        )
    )
    transaction.execute(
        update(coupon).where(_is(application_id, given.offer.coupon_id)).values(redemptions=coupon.c.redemptions + 1)
    )


def find_redemption(transaction: Transaction, subscription_id: str, caller_id: str) -> GivenCoupon | None:
    """Return the coupon that this caller id gave, if it did."""
    return next(iter(_given(transaction, subscription_id, redemption.c.caller_id == caller_id)), None)


def coupons_of_subscription(transaction: Transaction, subscription_id: str) -> list[GivenCoupon]:
    """Return every coupon that a subscription was given, in that order; removed and used ones too."""
    return _given(transaction, subscription_id)


def set_removed(transaction: Transaction, redemption_ids: Collection[str], *, at: datetime) -> None:
    """Take coupons off their subscription from an instant on."""
    transaction.execute(update(redemption).where(redemption.c.redemption_id.in_(redemption_ids)).values(removed_at=at))


def count_use(transaction: Transaction, redemption_ids: Collection[str]) -> None:
    """Count a period in which coupons took something off."""
    transaction.execute(
        update(redemption).where(redemption.c.redemption_id.in_(redemption_ids)).values(used=redemption.c.used + 1)
    )


def _is(application_id: str, coupon_id: str) -> ColumnElement[bool]:
    return (coupon.c.application_id == application_id) & (coupon.c.coupon_id == coupon_id)


def _given(transaction: Transaction, subscription_id: str, *conditions: ColumnElement[bool]) -> list[GivenCoupon]:
    of_coupon = (coupon.c.application_id == redemption.c.application_id) & (
        coupon.c.coupon_id == redemption.c.coupon_id
    )
    statement = (
        select(
            coupon,
            redemption.c.redemption_id,
            redemption.c.given_at,
            redemption.c.removed_at,
            redemption.c.used,
        )
        .join(coupon, of_coupon)
        .where(redemption.c.subscription_id == subscription_id, *conditions)
        .order_by(redemption.c.place)
    )
    return [
        GivenCoupon(
            redemption_id=row.redemption_id,
            offer=_offer(row),
            given_at=row.given_at,
            removed_at=row.removed_at,
            used=row.used,
        )
        for row in transaction.execute(statement)
    ]


def _coupon(row: Row[tuple[object, ...]]) -> CouponRow:
    return CouponRow(
        offer=_offer(row), redemptions=row.redemptions, created_at=row.created_at, archived_at=row.archived_at
    )


def _offer(row: Row[tuple[object, ...]]) -> CouponOffer:
    return CouponOffer(
        coupon_id=row.coupon_id,
        name=row.name,
        off=PercentCoupon(percent=row.percent)
        if row.percent is not None
        else FixedCoupon(amount=row.amount, currency=currency(row.currency)),
        periods=row.periods,
        redeem_by=row.redeem_by,
        max_redemptions=row.max_redemptions,
    )
