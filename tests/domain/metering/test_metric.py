from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.limits import MAX_QUANTITY_DIGITS
from faregate.domain.metering.event import FieldPath, compile_field
from faregate.domain.metering.metric import Sum, Unmeterable, compile_quantity

PATH = "response.body.tokens"
MISSING = object()
of_fields = compile_quantity(Sum(path=FieldPath(PATH)), compile_field)


def measure(fields: dict[str, object]) -> Decimal | Unmeterable:
    return of_fields(fields, 1)


def measured(value: object) -> Decimal | Unmeterable:
    body = {} if value is MISSING else {"tokens": value}
    return measure({"response": {"body": body}})


def reason(value: object) -> str:
    found = measured(value)
    assert isinstance(found, Unmeterable), found
    return found.reason


@given(st.integers(min_value=0, max_value=10**MAX_QUANTITY_DIGITS - 1))
def test_a_whole_number_counts_exactly(number: int) -> None:
    assert measured(number) == measured(str(number)) == measured(Decimal(number)) == Decimal(number)


@given(st.decimals(min_value=0, max_value=10**9, places=12))
def test_a_decimal_counts_exactly_as_a_number_and_as_its_numeral(number: Decimal) -> None:
    assert measured(number) == measured(str(number)) == number


@pytest.mark.parametrize(
    "zero", [0, "0", "0.00", "-0", Decimal(0), Decimal("-0.0"), Decimal("0E+500"), Decimal("0E-500")]
)
def test_zero_counts(zero: object) -> None:
    found = measured(zero)
    assert isinstance(found, Decimal)
    assert str(found) == "0"


@pytest.mark.parametrize("absent", [None, MISSING])
def test_a_null_or_missing_field_is_never_counted_as_zero(absent: object) -> None:
    assert reason(absent) == f"{PATH} is missing or null"


@pytest.mark.parametrize("negative", [-1, "-1", Decimal("-0.5")])
def test_a_negative_number_is_no_quantity(negative: object) -> None:
    assert reason(negative) == f"{PATH} is {negative}; a quantity is zero or more"


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_is_no_quantity(text: str) -> None:
    assert "a quantity is zero or more" in reason(text)
    assert "a quantity is zero or more" in reason(Decimal(text))


@pytest.mark.parametrize(
    "text", ["", "many", "12 tokens", "0x10", "1_000", "1,5", "\uff11\uff12", "1e99999999999999999999"]
)
def test_a_text_that_is_no_numeral_is_not_a_number(text: str) -> None:
    assert reason(text) == f"{PATH} is {text!r}, not a number"


@pytest.mark.parametrize("value", [True, False, [], [1], {}, {"tokens": 1}])
def test_true_false_lists_and_objects_are_not_numbers(value: object) -> None:
    assert reason(value) == f"{PATH} is not a number"


def test_a_field_below_a_list_or_a_text_is_missing() -> None:
    assert measure({"response": {"body": [{"tokens": 1}]}}) == Unmeterable(f"{PATH} is missing or null")
    assert measure({"response": {"body": "tokens"}}) == Unmeterable(f"{PATH} is missing or null")


@pytest.mark.parametrize(
    ("at_the_limit", "one_past"),
    [
        ("9" * 30, "1" + "0" * 30),
        ("1e29", "1e30"),
        ("0." + "1" * 30, "0." + "1" * 31),
        ("1e-30", "1e-31"),
        ("9" * 15 + "." + "9" * 15, "9" * 16 + "." + "9" * 15),
    ],
)
def test_a_quantity_has_as_many_digits_as_the_limit_and_not_one_more(at_the_limit: str, one_past: str) -> None:
    assert MAX_QUANTITY_DIGITS == 30
    for kind in (str, Decimal):
        assert measured(kind(at_the_limit)) == Decimal(at_the_limit)
        assert reason(kind(one_past)) == f"{PATH} has more than 30 digits"


@pytest.mark.parametrize("long", ["x" * 100_000, "-" + "9" * 100_000, Decimal("-1e999999"), Decimal("1e999999")])
def test_a_reason_is_short_however_long_the_value_is(long: object) -> None:
    assert len(reason(long)) < 120
