from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_EXPRESSION_CHARACTERS, MAX_EXPRESSION_FIELDS, MAX_FILTER_DEPTH
from faregate.domain.metering.event import FieldPath, compile_field
from faregate.domain.metering.expression import (
    Expression,
    FieldValue,
    Joined,
    Number,
    Sign,
    compile_expression,
    expression_text,
    fields_of,
    parse_expression,
)

numbers = st.decimals(min_value=-1000, max_value=1000, places=2).map(Number)
fields = st.builds(
    FieldValue, st.sampled_from([FieldPath("metadata.a"), FieldPath("metadata.b")]), st.sampled_from([None, Decimal(0)])
)
expressions: st.SearchStrategy[Expression] = st.recursive(
    numbers | fields,
    lambda inner: (
        st.builds(Joined, inner, st.sampled_from([Sign.PLUS, Sign.MINUS, Sign.TIMES]), inner)
        | st.builds(
            lambda left, by: Joined(left, Sign.OVER, Number(by)), inner, st.sampled_from([Decimal(8), Decimal("0.5")])
        )
    ),
    max_leaves=6,
)


def value(text: str, **metadata: object) -> Decimal | str:
    return compile_expression(parse_expression("e", text), compile_field)({"metadata": metadata})


@given(expressions.filter(lambda expression: any(fields_of(expression))))
def test_an_expression_is_read_back_from_its_text(expression: Expression) -> None:
    text = expression_text(expression)
    assert expression_text(parse_expression("e", text)) == text
    inputs = {"metadata": {"a": Decimal("1.5"), "b": None}}
    first, second = (
        compile_expression(one, compile_field)(inputs) for one in (expression, parse_expression("e", text))
    )
    assert first == second or (isinstance(first, str) and isinstance(second, str))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metadata.a + 2 * metadata.b", "20"),
        ("(metadata.a + 2) * metadata.b", "60"),
        ("metadata.a - metadata.b - 1", "4"),
        ("metadata.a - (metadata.b - 1)", "6"),
        ("metadata.a / 1000", "0.01"),
        ("metadata.a * metadata.b / 8 / 2", "3.125"),
        ("metadata.a - metadata.cached ?? 4", "6"),
        ("-1 * metadata.a + 12", "2"),
    ],
)
def test_an_expression_is_computed_exactly(text: str, expected: str) -> None:
    assert value(text, a="10", b=5) == Decimal(expected)


def test_a_field_without_a_number_gives_no_quantity_but_where_something_stands_for_it() -> None:
    assert value("metadata.a + 1") == "metadata.a is missing or null"
    assert value("1 + metadata.a", a="x") == "metadata.a is 'x', not a number"
    assert value("metadata.a ?? 0", a="x") == "metadata.a is 'x', not a number"
    assert value("metadata.a ?? 3 + 1") == 4


def test_an_expression_below_zero_or_of_too_many_digits_is_no_quantity() -> None:
    assert value("metadata.a - 5", a=1) == "metadata.a - 5 is -4; a quantity is zero or more"
    assert value("metadata.a * metadata.a", a="9" * 30) == "metadata.a * metadata.a has more than 30 digits"
    assert value(" * ".join(["metadata.a"] * 5), a="9" * 30) == f"{' * '.join(['metadata.a'] * 5)} has too many digits"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "column 1: expected a field"),
        ("5", "1 to 20 fields"),
        (" + ".join(["metadata.a"] * (MAX_EXPRESSION_FIELDS + 1)), "1 to 20 fields"),
        ("metadata.a +", "column 13: expected a field"),
        ("metadata.a b", "column 12: expected + - * /"),
        ("metadata.a / 3", "column 15: dividing by 3 has no exact result"),
        ("metadata.a / 0", "dividing by 0"),
        ("metadata.a / metadata.b", "column 14: expected a number to divide by"),
        ("metadata.a ?? x", "expected a number after ??"),
        ("metadata.a[*]", "may find several values"),
        ("(metadata.a", "expected ')'"),
        ("(" * (MAX_FILTER_DEPTH + 2), "levels deep"),
        ("metadata.a" + " " * MAX_EXPRESSION_CHARACTERS, "at most 1000 characters"),
    ],
)
def test_a_fault_of_an_expression_says_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_expression("metric.expression", text)
    assert refused.value.faults[0].field == "metric.expression"
    assert words in refused.value.faults[0].message
