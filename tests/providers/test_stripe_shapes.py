import pytest

from faregate.base.errors import InvalidInput
from faregate.providers.stripe.shapes import payment_currency


@pytest.mark.parametrize(("code", "amount"), [("USD", 1_999), ("JPY", 501), ("KWD", 5_120)])
def test_a_payment_is_of_the_currencys_minor_units(code: str, amount: int) -> None:
    assert payment_currency(code, amount) == code.lower()


@pytest.mark.parametrize(
    ("code", "amount", "field"), [("ISK", 500, "currency"), ("UGX", 500, "currency"), ("KWD", 5_125, "amount")]
)
def test_a_payment_that_stripe_would_take_as_another_amount_is_refused(code: str, amount: int, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        payment_currency(code, amount)
