from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.limits import MAX_COUPON_PERIODS
from faregate.base.money import currency
from faregate.base.periods import Period
from faregate.domain.billing.coupons import (
    Coupon,
    CouponOffer,
    FixedCoupon,
    GivenCoupon,
    PercentCoupon,
    coupon_discounts,
    offer_faults,
    period_discounts,
)
from faregate.domain.billing.credit_note import CreditNote, credit_note

USD = currency("USD")

coupons = st.lists(
    st.builds(PercentCoupon, percent=st.decimals(min_value=0, max_value=100, places=2))
    | st.builds(FixedCoupon, amount=st.integers(min_value=0, max_value=5_000), currency=st.just(USD)),
    max_size=5,
)
cents = st.integers(min_value=0, max_value=1_000_000)
shares = st.fractions(min_value=0, max_value=1, max_denominator=365)
taxes = st.decimals(min_value=0, max_value=30, places=2)


@given(cents, coupons)
def test_coupons_never_take_more_than_there_is(subtotal: int, given_: list[Coupon]) -> None:
    discounts = coupon_discounts(subtotal, given_)
    assert all(discount >= 0 for discount in discounts)
    assert 0 <= subtotal - sum(discounts) <= subtotal


def test_each_coupon_comes_off_what_the_earlier_ones_left() -> None:
    ten, half = FixedCoupon(amount=1_000, currency=USD), PercentCoupon(percent=Decimal(50))
    assert coupon_discounts(3_000, [ten, half]) == [1_000, 1_000]
    assert coupon_discounts(3_000, [half, ten]) == [1_500, 1_000]
    assert coupon_discounts(500, [ten, half]) == [500, 0]


def test_an_amount_below_zero_has_nothing_to_take_off() -> None:
    assert coupon_discounts(-300, [PercentCoupon(percent=Decimal(50)), FixedCoupon(amount=100, currency=USD)]) == [0, 0]


def test_a_share_is_rounded_half_away_from_zero() -> None:
    half = PercentCoupon(percent=Decimal(50))
    assert coupon_discounts(5, [half]) == [3]
    assert coupon_discounts(5, [half, half, half]) == [3, 1, 1]


@given(cents, coupons)
def test_what_is_left_is_what_taking_each_share_unit_by_unit_leaves(subtotal: int, given_: list[Coupon]) -> None:
    left = Fraction(subtotal)
    for coupon, discount in zip(given_, coupon_discounts(subtotal, given_), strict=True):
        if isinstance(coupon, FixedCoupon):
            assert discount == min(left, coupon.amount)
        else:
            assert abs(discount - left * Fraction(coupon.percent) / 100) <= Fraction(1, 2)
        left -= discount


MARCH = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
SECOND = timedelta(seconds=1)


def a_coupon(percent: str = "10", *, periods: int | None = None, used: int = 0, **more: datetime) -> GivenCoupon:
    offer = CouponOffer(coupon_id="TEN", name="Ten", off=PercentCoupon(percent=Decimal(percent)), periods=periods)
    return GivenCoupon(redemption_id="rdm_1", offer=offer, used=used, **{"given_at": MARCH.start, **more})


def test_a_coupon_covers_the_period_in_which_it_was_given_and_not_the_one_before() -> None:
    assert a_coupon(given_at=MARCH.end - SECOND).covers(MARCH)
    assert not a_coupon(given_at=MARCH.end).covers(MARCH)


def test_a_coupon_that_is_removed_in_a_period_does_not_cover_it_and_one_removed_at_its_end_does() -> None:
    removed = a_coupon(removed_at=MARCH.end - SECOND)
    assert not removed.covers(MARCH)
    assert not removed.is_active
    assert a_coupon(removed_at=MARCH.end).covers(MARCH)


def test_a_coupon_covers_as_many_periods_as_it_has() -> None:
    assert a_coupon(periods=2, used=1).covers(MARCH)
    used_up = a_coupon(periods=2, used=2)
    assert not used_up.covers(MARCH)
    assert not used_up.is_active
    assert a_coupon(periods=None, used=1_000).is_active


def test_the_discounts_of_a_period_are_those_of_the_coupons_that_cover_it() -> None:
    given_coupons = [a_coupon("10"), a_coupon("50", periods=1, used=1), a_coupon("20")]
    found = period_discounts(1_000, given_coupons, MARCH)
    assert [(discount.coupon.offer.off, discount.amount) for discount in found] == [
        (PercentCoupon(percent=Decimal(10)), 100),
        (PercentCoupon(percent=Decimal(20)), 180),
    ]


@given(st.lists(st.integers(min_value=0, max_value=3)), st.none() | st.integers(min_value=1, max_value=4))
def test_a_coupon_takes_from_the_first_periods_that_owe_something(owed: list[int], periods: int | None) -> None:
    coupon, taken = a_coupon("100", periods=periods), []
    for subtotal in owed:
        found = period_discounts(subtotal, [coupon], MARCH)
        taken.append(sum(discount.amount for discount in found))
        coupon = replace(coupon, used=coupon.used + bool(taken[-1]))
    paying = [index for index, subtotal in enumerate(owed) if subtotal]
    assert taken == [subtotal if index in paying[:periods] else 0 for index, subtotal in enumerate(owed)]


@pytest.mark.parametrize(
    ("off", "periods", "field"),
    [
        (PercentCoupon(percent=Decimal(0)), None, "percent"),
        (PercentCoupon(percent=Decimal(-1)), None, "percent"),
        (PercentCoupon(percent=Decimal("100.01")), None, "percent"),
        (PercentCoupon(percent=Decimal("1e-13")), None, "percent"),
        (PercentCoupon(percent=Decimal("NaN")), None, "percent"),
        (FixedCoupon(amount=0, currency=USD), None, "amount"),
        (FixedCoupon(amount=1, currency=USD), 0, "periods"),
        (FixedCoupon(amount=1, currency=USD), MAX_COUPON_PERIODS + 1, "periods"),
        (PercentCoupon(percent=Decimal("1e-12")), 1, None),
        (PercentCoupon(percent=Decimal(100)), MAX_COUPON_PERIODS, None),
        (FixedCoupon(amount=1, currency=USD), None, None),
    ],
)
def test_what_is_wrong_with_an_offer_is_named(off: Coupon, periods: int | None, field: str | None) -> None:
    faults = offer_faults(CouponOffer(coupon_id="C", name="C", off=off, periods=periods))
    assert [fault.field for fault in faults] == ([] if field is None else [field])


@given(cents, st.lists(shares, max_size=6), taxes)
def test_all_credit_notes_together_never_give_back_more_than_was_invoiced(
    fee: int, parts: list[Fraction], tax: Decimal
) -> None:
    given_back = CreditNote(subtotal=0, tax=0)
    for part in parts:
        note = credit_note(fee, share=part, tax_percent=tax, credited=given_back)
        assert note.total == note.subtotal + note.tax >= 0
        given_back = CreditNote(subtotal=given_back.subtotal + note.subtotal, tax=given_back.tax + note.tax)
    whole = credit_note(fee, share=Fraction(1), tax_percent=tax)
    assert given_back.subtotal <= whole.subtotal == fee
    assert given_back.tax <= whole.tax
