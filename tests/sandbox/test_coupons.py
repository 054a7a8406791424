"""Coupons through the official SDK."""

import time
from decimal import Decimal
from typing import Any

import pytest
from stripe import InvalidRequestError, StripeClient


def test_a_coupon_takes_off_a_percentage_or_an_amount(stripe: StripeClient) -> None:
    percent = stripe.v1.coupons.create({"percent_off": 12.5, "duration": "forever", "name": "Eighth"})
    assert (percent.percent_off, percent.amount_off, percent.valid) == (12.5, None, True)
    amount = stripe.v1.coupons.create({"id": "FIVE", "amount_off": 500, "currency": "usd"})
    assert (amount.id, amount.amount_off, amount.currency, amount.duration) == ("FIVE", 500, "usd", "once")
    assert [each.id for each in stripe.v1.coupons.list({"limit": 2}).data] == ["FIVE", percent.id]


def test_a_coupons_name_and_metadata_can_be_changed(stripe: StripeClient) -> None:
    coupon = stripe.v1.coupons.create({"percent_off": 10})
    changed = stripe.v1.coupons.update(coupon.id, {"name": "Tenth", "metadata": {"order": "1"}})
    assert (changed.name, changed.percent_off) == ("Tenth", 10)


def test_a_deleted_coupon_is_no_more(stripe: StripeClient) -> None:
    coupon = stripe.v1.coupons.create({"percent_off": 10})
    assert stripe.v1.coupons.delete(coupon.id).deleted
    with pytest.raises(InvalidRequestError, match="No such coupon"):
        stripe.v1.coupons.retrieve(coupon.id)


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({}, "percent_off"),
        ({"percent_off": 10, "amount_off": 5, "currency": "usd"}, "percent_off"),
        ({"percent_off": 101}, "percent_off"),
        ({"percent_off": Decimal("0.125")}, "percent_off"),
        ({"amount_off": 5}, "currency"),
        ({"amount_off": 5, "currency": "nil"}, "currency"),
        ({"amount_off": 0, "currency": "usd"}, "amount_off"),
        ({"percent_off": 10, "duration": "repeating"}, "duration_in_months"),
        ({"percent_off": 10, "duration": "once", "duration_in_months": 2}, "duration_in_months"),
        ({"percent_off": 10, "max_redemptions": 0}, "max_redemptions"),
        ({"percent_off": 10, "redeem_by": 1}, "redeem_by"),
    ],
    ids=str,
)
def test_a_coupon_that_says_too_much_or_too_little_is_refused(
    stripe: StripeClient, sent: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.coupons.create(sent)  # type: ignore[arg-type]
    assert refused.value.param == param


def test_a_coupon_may_be_redeemed_until_a_date(stripe: StripeClient) -> None:
    until = int(time.time()) + 3_600
    assert stripe.v1.coupons.create({"percent_off": 10, "redeem_by": until}).redeem_by == until
