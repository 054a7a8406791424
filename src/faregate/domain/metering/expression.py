"""An arithmetic expression of an event's fields, exact: `response.body.usage.total_tokens - 2 * metadata.free`.

+  -  *  and brackets; a field, or a field with what it is where it is missing or null: `metadata.free ?? 0`;
/  only by a numeral that divides without a remainder in decimals, such as 1000 or 8: a third has no end
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, DecimalException
from enum import StrEnum
from typing import TypeVar, assert_never

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_EXPRESSION_CHARACTERS, MAX_EXPRESSION_FIELDS, MAX_FILTER_DEPTH
from faregate.base.money import EXACT
from faregate.domain.metering.event import FieldPath, scalar_text
from faregate.domain.metering.numbers import quantity_of
from faregate.domain.metering.text_scanner import Scanner

T = TypeVar("T")
_TEN = Decimal(10)


class Sign(StrEnum):
    """What joins two operands."""

    PLUS = "+"
    MINUS = "-"
    TIMES = "*"
    OVER = "/"


@dataclass(frozen=True, slots=True)
class Number:
    """A numeral."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class FieldValue:
    """The number a field is; `otherwise` where it is missing or null, None meaning that there is no quantity then."""

    path: FieldPath
    otherwise: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """`left` and `right`, joined. Right of OVER is a `Number` that divides exactly."""

    left: Expression
    sign: Sign
    right: Expression


Expression = Number | FieldValue | Joined


def parse_expression(field: str, text: str) -> Expression:
    """Return the expression; `InvalidInput` on `field` points at the column that is wrong."""
    if len(text) > MAX_EXPRESSION_CHARACTERS:
        raise InvalidInput.of(field, f"must have at most {MAX_EXPRESSION_CHARACTERS} characters")
    scanner = Scanner(field, text)
    found = _sum(scanner, 0)
    if not scanner.is_at_end():
        scanner.fail("expected + - * / or the end of the expression")
    if not 1 <= sum(1 for _ in fields_of(found)) <= MAX_EXPRESSION_FIELDS:
        raise InvalidInput.of(field, f"must name 1 to {MAX_EXPRESSION_FIELDS} fields")
    return found


def expression_text(expression: Expression) -> str:
    """Return the expression as text that `parse_expression` reads as the same expression."""
    match expression:
        case Number(value=value):
            return str(scalar_text(value))
        case FieldValue(path=path, otherwise=None):
            return path.text
        case FieldValue(path=path, otherwise=otherwise):
            return f"{path.text} ?? {scalar_text(otherwise)}"
        case Joined(left=left, sign=sign, right=right):
            product = sign in {Sign.TIMES, Sign.OVER}
            first = _bracketed(left, (Sign.PLUS, Sign.MINUS) if product else ())
            return f"{first} {sign} {_bracketed(right, tuple(Sign) if product else (Sign.PLUS, Sign.MINUS))}"
        case _:
            assert_never(expression)


def fields_of(expression: Expression) -> Iterator[FieldPath]:
    """Yield the paths that the expression reads."""
    match expression:
        case Number():
            return
        case FieldValue(path=path):
            yield path
        case Joined(left=left, right=right):
            yield from fields_of(left)
            yield from fields_of(right)
        case _:
            assert_never(expression)


def compile_expression(
    expression: Expression, reading: Callable[[FieldPath], Callable[[T], object]]
) -> Callable[[T], Decimal | str]:
    """Return a function from an event's fields to the expression's value, or to the words that say why it has none."""
    compute = _compile(expression, reading)
    text = expression_text(expression)

    def measure(fields: T) -> Decimal | str:
        try:
            value = compute(fields)
        except DecimalException:
            return f"{text} has too many digits"
        if isinstance(value, str):
            return value
        found = quantity_of(value)
        return found if isinstance(found, Decimal) else f"{text} {found}"

    return measure


def _bracketed(expression: Expression, signs: tuple[Sign, ...]) -> str:
    text = expression_text(expression)
    return f"({text})" if isinstance(expression, Joined) and expression.sign in signs else text


def _compile(
    expression: Expression, reading: Callable[[FieldPath], Callable[[T], object]]
) -> Callable[[T], Decimal | str]:
    match expression:
        case Number(value=value):
            return lambda _: value
        case FieldValue(path=path, otherwise=otherwise):
            return _field(reading(path), path.text, otherwise)
        case Joined(left=left, sign=sign, right=right):
            return _joined(_compile(left, reading), sign, _compile(right, reading))
        case _:
            assert_never(expression)


def _field(read: Callable[[T], object], name: str, otherwise: Decimal | None) -> Callable[[T], Decimal | str]:
    def value(fields: T) -> Decimal | str:
        found = read(fields)
        if found is None and otherwise is not None:
            return otherwise
        quantity = quantity_of(found, signed=True)
        return quantity if isinstance(quantity, Decimal) else f"{name} {quantity}"

    return value


def _joined(
    left: Callable[[T], Decimal | str], sign: Sign, right: Callable[[T], Decimal | str]
) -> Callable[[T], Decimal | str]:
    operate = {Sign.PLUS: EXACT.add, Sign.MINUS: EXACT.subtract, Sign.TIMES: EXACT.multiply, Sign.OVER: EXACT.divide}
    apply = operate[sign]

    def value(fields: T) -> Decimal | str:
        first = left(fields)
        if isinstance(first, str):
            return first
        second = right(fields)
        return second if isinstance(second, str) else apply(first, second)

    return value


def _sum(scanner: Scanner, depth: int) -> Expression:
    if depth > MAX_FILTER_DEPTH:
        scanner.fail(f"an expression is at most {MAX_FILTER_DEPTH} levels deep")
    found = _product(scanner, depth)
    while (sign := scanner.take("+", "-")) is not None:
        found = Joined(found, Sign(sign), _product(scanner, depth))
    return found


def _product(scanner: Scanner, depth: int) -> Expression:
    found = _operand(scanner, depth)
    while (sign := scanner.take("*", "/")) is not None:
        if sign == "*":
            found = Joined(found, Sign.TIMES, _operand(scanner, depth))
        else:
            found = Joined(found, Sign.OVER, _divisor(scanner))
    return found


def _operand(scanner: Scanner, depth: int) -> Expression:
    if scanner.take("("):
        found = _sum(scanner, depth + 1)
        scanner.require(")", after="what stands in brackets")
        return found
    path = scanner.take_path()
    if path is None:
        return Number(_numeral(scanner, "expected a field such as response.body.usage.total_tokens, a number or '('"))
    if not path.is_single:
        scanner.fail(f"{path.text} may find several values; an expression needs fields that are one")
    return FieldValue(path, _numeral(scanner, "expected a number after ??") if scanner.take("??") else None)


def _divisor(scanner: Scanner) -> Number:
    divisor = _numeral(scanner, "expected a number to divide by")
    try:
        exact = divisor and EXACT.divide(1, divisor)
    except DecimalException:
        exact = None
    if not exact:
        scanner.fail(f"dividing by {divisor} has no exact result in decimals; divide by 2, 5, 1000 or such")
    return Number(divisor)


def _numeral(scanner: Scanner, expected: str) -> Decimal:
    number = scanner.take_number()
    if number is None:
        scanner.fail(expected)
    return Decimal(number)
