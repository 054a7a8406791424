from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_LEDGER_UNITS
from faregate.base.money import (
    currency,
    from_ledger_units,
    from_minor_units,
    minor_to_ledger_units,
    quantize,
    quantize_share,
    to_ledger_units,
    to_minor_units,
)

CODES = ("USD", "JPY", "KWD", "IDR", "KRW")
codes = st.sampled_from(CODES)
stored_units = st.integers(min_value=-MAX_LEDGER_UNITS, max_value=MAX_LEDGER_UNITS)
amounts = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("code", "minor_places", "ledger_places"),
    [
        ("USD", 2, 9),
        ("EUR", 2, 9),
        ("JPY", 0, 9),
        ("ISK", 0, 9),
        ("IRR", 2, 6),
        ("KWD", 3, 9),
        ("IDR", 2, 6),
        ("VND", 0, 6),
        ("KRW", 0, 6),
    ],
)
def test_a_currency_has_its_own_minor_unit_and_ledger_resolution(
    code: str, minor_places: int, ledger_places: int
) -> None:
    found = currency(code)
    assert (found.code, found.minor_places, found.ledger_places) == (code, minor_places, ledger_places)


@pytest.mark.parametrize("code", ["", "usd", "XXX", "US", "USDT", "EURO"])
def test_an_unknown_currency_is_refused_by_name(code: str) -> None:
    with pytest.raises(InvalidInput, match="ISO 4217") as refused:
        currency(code)
    assert [fault.field for fault in refused.value.faults] == ["currency"]


@pytest.mark.parametrize(
    ("amount", "cents"),
    [("0.004", 0), ("0.005", 1), ("-0.005", -1), ("-0.004", 0), ("0.0149999", 1), ("0.015", 2), ("2.5", 250)],
)
def test_half_a_minor_unit_goes_away_from_zero(amount: str, cents: int) -> None:
    assert to_minor_units(Decimal(amount), currency("USD")) == cents


@pytest.mark.parametrize(
    ("code", "amount", "minor"), [("JPY", "2.5", 3), ("JPY", "1000", 1000), ("KWD", "1.2345", 1235), ("KWD", "1", 1000)]
)
def test_zero_and_three_decimal_currencies_round_at_their_own_minor_unit(code: str, amount: str, minor: int) -> None:
    assert to_minor_units(Decimal(amount), currency(code)) == minor


@given(amounts, st.integers(min_value=0, max_value=9))
def test_quantize_is_exact_half_away_from_zero(amount: Decimal, places: int) -> None:
    scaled = abs(Fraction(amount)) * 10**places
    expected = floor(scaled + Fraction(1, 2))
    assert quantize(amount, places, ROUND_HALF_UP) == (expected if amount >= 0 else -expected)


@given(amounts, st.integers(min_value=0, max_value=9))
def test_quantize_rounds_as_it_is_told(amount: Decimal, places: int) -> None:
    scaled = Fraction(amount) * 10**places
    assert quantize(amount, places, ROUND_FLOOR) == floor(scaled)
    assert quantize(amount, places, ROUND_CEILING) == -floor(-scaled)


def test_an_amount_of_very_many_digits_is_rounded_once() -> None:
    just_under_half = Decimal("0.4" + "9" * 130)
    assert quantize(just_under_half, 0, ROUND_HALF_UP) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_an_amount_fits_the_ledger_up_to_64_bits_and_not_one_past(sign: int) -> None:
    for code in CODES:
        unit = currency(code)
        at_the_limit = from_ledger_units(sign * MAX_LEDGER_UNITS, unit)
        assert to_ledger_units(at_the_limit, unit) == sign * MAX_LEDGER_UNITS
        one_past = at_the_limit + sign * Decimal(1).scaleb(-unit.ledger_places)
        with pytest.raises(InvalidInput, match="larger than the ledger can hold") as refused:
            to_ledger_units(one_past, unit)
        assert [fault.field for fault in refused.value.faults] == ["amount"]


@pytest.mark.parametrize(
    "amount", ["1e30", "1e999999", "-1e999999", "1e99999999999999", "9" * 200, "NaN", "sNaN", "Infinity", "-Infinity"]
)
def test_what_no_ledger_holds_is_refused_at_once(amount: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        to_ledger_units(Decimal(amount), currency("USD"))
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("amount", ["1e-30", "-1e-999999", "0e999999", "-0"])
def test_what_is_less_than_half_a_unit_is_nothing(amount: str) -> None:
    assert to_ledger_units(Decimal(amount), currency("USD")) == 0


@given(stored_units, codes)
def test_ledger_units_survive_as_an_amount_at_every_size(units: int, code: str) -> None:
    unit = currency(code)
    assert to_ledger_units(from_ledger_units(units, unit), unit) == units


@given(stored_units, codes)
def test_minor_units_survive_as_an_amount_at_every_size(units: int, code: str) -> None:
    unit = currency(code)
    assert to_minor_units(from_minor_units(units, unit), unit) == units


@given(st.integers(min_value=-(10**9), max_value=10**9), codes)
def test_minor_units_are_whole_ledger_units(units: int, code: str) -> None:
    unit = currency(code)
    assert minor_to_ledger_units(units, unit) == to_ledger_units(from_minor_units(units, unit), unit)


@pytest.mark.parametrize(
    ("units", "code", "shown"),
    [
        (0, "USD", "0.00"),
        (1_500_000_000, "USD", "1.50"),
        (100_000_000_000, "USD", "100.00"),
        (1, "USD", "1E-9"),
        (-500_000, "USD", "-0.0005"),
        (1_000_000_000_000, "JPY", "1000"),
        (1_500_000_000, "KWD", "1.500"),
        (2_500_000, "IDR", "2.50"),
    ],
)
def test_an_amount_shows_its_minor_unit_and_no_zeros_beyond(units: int, code: str, shown: str) -> None:
    assert str(from_ledger_units(units, currency(code))) == shown


@given(
    st.decimals(min_value=-(10**6), max_value=10**6, places=4),
    st.fractions(min_value=0, max_value=3, max_denominator=366),
    st.integers(min_value=0, max_value=9),
)
def test_a_share_of_an_amount_is_rounded_once_half_away_from_zero(
    amount: Decimal, share: Fraction, places: int
) -> None:
    exact = Fraction(amount) * share * 10**places
    rounded = floor(abs(exact) + Fraction(1, 2))
    assert quantize_share(amount, share, places) == (rounded if exact >= 0 else -rounded)
