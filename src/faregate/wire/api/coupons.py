"""Coupons on the wire: what is offered, and what subscriptions were given of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, TypedDict, assert_never

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_COUPON_PERIODS, MAX_COUPON_REDEMPTIONS
from faregate.base.money import currency, from_minor_units, to_minor_units
from faregate.domain.billing.coupons import (
    Coupon,
    CouponOffer,
    FixedCoupon,
    GivenCoupon,
    PercentCoupon,
    offer_faults,
)
from faregate.domain.catalog.validation import require
from faregate.wire.api.catalog import CurrencyCode
from faregate.wire.api.common import DecimalText, Identifier, Instant, Name, bounded, plain, to_utc


class CouponDuration(StrEnum):
    """How many periods a coupon takes something off: one, `periods`, or all of them."""

    ONCE = "once"
    REPEATING = "repeating"
    FOREVER = "forever"


class CouponCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coupon to offer, under an id of your own: `percent` off an invoice, or an `amount` in a `currency`.

    It comes off the whole invoice, after the lines are rounded and before credit pays. A period counts where it took
    something off. It can be given before `redeem_by`, `max_redemptions` times in all. Coupons never change.
    """

    coupon_id: Identifier
    name: Name | UnsetType = UNSET
    percent: Decimal | UnsetType = UNSET
    amount: Decimal | UnsetType = UNSET
    currency: CurrencyCode | UnsetType = UNSET
    duration: CouponDuration = CouponDuration.ONCE
    periods: Annotated[int, Meta(ge=1, le=MAX_COUPON_PERIODS)] | UnsetType = UNSET
    redeem_by: Instant | UnsetType = UNSET
    max_redemptions: Annotated[int, Meta(ge=1, le=MAX_COUPON_REDEMPTIONS)] | UnsetType = UNSET


class CouponTermsView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a coupon takes off, and how long."""

    coupon_id: str
    name: str
    percent: DecimalText | None = None
    amount: DecimalText | None = None
    currency: str | None = None
    duration: CouponDuration
    periods: int | None = None
    redeem_by: Instant | None = None
    max_redemptions: int | None = None


class CouponView(CouponTermsView, frozen=True, kw_only=True, omit_defaults=True):
    """A coupon: `redemptions` counts how often it was given, `archived_at` is since when it no longer can be."""

    redemptions: int
    created_at: Instant
    archived_at: Instant | None = None


class CouponGive(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coupon to give to a subscription."""

    coupon_id: Identifier


class GivenCouponView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A coupon on a subscription: `periods_used` counts the invoices that it took something off.

    `active` is false where it was removed or is used up.
    """

    redemption_id: str
    subscription_id: str
    coupon: CouponTermsView
    periods_used: int
    active: bool
    given_at: Instant
    removed_at: Instant | None = None


def to_offer(request: CouponCreate) -> CouponOffer:
    """Return the coupon that is asked for; `InvalidInput` names what cannot be."""
    offer = CouponOffer(
        coupon_id=request.coupon_id,
        name=request.coupon_id if request.name is UNSET else request.name,
        off=_off(request),
        periods=_periods(request),
        redeem_by=None if request.redeem_by is UNSET else to_utc(request.redeem_by),
        max_redemptions=None if request.max_redemptions is UNSET else request.max_redemptions,
    )
    require(offer_faults(offer))
    return offer


def terms_view(offer: CouponOffer) -> CouponTermsView:
    """Return a coupon's terms as they travel."""
    return CouponTermsView(**_terms(offer))


def coupon_view(
    offer: CouponOffer, *, redemptions: int, created_at: datetime, archived_at: datetime | None
) -> CouponView:
    """Return a coupon as it travels."""
    return CouponView(**_terms(offer), redemptions=redemptions, created_at=created_at, archived_at=archived_at)


def given_view(given: GivenCoupon, subscription_id: str) -> GivenCouponView:
    """Return a subscription's coupon as it travels."""
    return GivenCouponView(
        redemption_id=given.redemption_id,
        subscription_id=subscription_id,
        coupon=terms_view(given.offer),
        periods_used=given.used,
        active=given.is_active,
        given_at=given.given_at,
        removed_at=given.removed_at,
    )


def _off(request: CouponCreate) -> Coupon:
    if (request.percent is UNSET) == (request.amount is UNSET):
        raise InvalidInput.of("percent", "give either 'percent' or 'amount' with its 'currency'")
    if request.amount is UNSET:
        if request.currency is not UNSET:
            raise InvalidInput.of("currency", "goes with 'amount'; a percentage is of any currency")
        return PercentCoupon(percent=bounded("percent", Decimal(0) if request.percent is UNSET else request.percent))
    if request.currency is UNSET:
        raise InvalidInput.of("currency", "is required with 'amount'")
    unit, amount = currency(request.currency), bounded("amount", request.amount)
    minor_units = to_minor_units(amount, unit)
    if from_minor_units(minor_units, unit) != amount:
        message = f"must have at most {unit.minor_places} decimal places in {unit.code}"
        raise InvalidInput.of("amount", message)
    return FixedCoupon(amount=minor_units, currency=unit)


def _periods(request: CouponCreate) -> int | None:
    match request.duration:
        case CouponDuration.REPEATING:
            if request.periods is UNSET:
                raise InvalidInput.of("periods", "is required of a repeating coupon: how many it takes something off")
            return request.periods
        case CouponDuration.ONCE | CouponDuration.FOREVER:
            if request.periods is not UNSET:
                raise InvalidInput.of("periods", "goes with the duration 'repeating' alone")
            return 1 if request.duration is CouponDuration.ONCE else None
        case _:
            assert_never(request.duration)


class _Terms(TypedDict):
    coupon_id: str
    name: str
    percent: str | None
    amount: str | None
    currency: str | None
    duration: CouponDuration
    periods: int | None
    redeem_by: datetime | None
    max_redemptions: int | None


def _terms(offer: CouponOffer) -> _Terms:
    percent = amount = code = None
    match offer.off:
        case PercentCoupon(percent=share):
            percent = plain(share)
        case FixedCoupon(amount=minor_units, currency=unit):
            amount, code = plain(from_minor_units(minor_units, unit)), unit.code
        case _:
            assert_never(offer.off)
    return _Terms(
        coupon_id=offer.coupon_id,
        name=offer.name,
        percent=percent,
        amount=amount,
        currency=code,
        duration=_duration(offer.periods),
        periods=None if offer.periods == 1 else offer.periods,
        redeem_by=offer.redeem_by,
        max_redemptions=offer.max_redemptions,
    )


def _duration(periods: int | None) -> CouponDuration:
    """Return the word for a number of periods; a repeating coupon of one period is one for once."""
    if periods is None:
        return CouponDuration.FOREVER
    return CouponDuration.ONCE if periods == 1 else CouponDuration.REPEATING
