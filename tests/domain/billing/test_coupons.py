from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.billing.coupons import Coupon, FixedCoupon, PercentCoupon, coupon_discounts
from faregate.domain.billing.credit_note import CreditNote, credit_note

coupons = st.lists(
    st.builds(PercentCoupon, percent=st.decimals(min_value=0, max_value=100, places=2))
    | st.builds(FixedCoupon, amount=st.integers(min_value=0, max_value=5_000)),
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
    ten, half = FixedCoupon(amount=1_000), PercentCoupon(percent=Decimal(50))
    assert coupon_discounts(3_000, [ten, half]) == [1_000, 1_000]
    assert coupon_discounts(3_000, [half, ten]) == [1_500, 1_000]
    assert coupon_discounts(500, [ten, half]) == [500, 0]


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
