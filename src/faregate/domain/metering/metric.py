"""How much an event counts for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from faregate.base.limits import MAX_QUANTITY_DIGITS
from faregate.domain.metering.event import FieldPath, Fields, compile_field

_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """The sum of a numeric field, each event counted once whatever its sampling weight ("unweighted")."""

    path: FieldPath


Metric = Sum


@dataclass(frozen=True, slots=True)
class Unmeterable:
    """The event matched, but its field gives no quantity; `reason` says why, in words for the operator."""

    reason: str


def compile_metric(metric: Metric) -> Callable[[Fields], Decimal | Unmeterable]:
    """Return a function from an event's fields to its quantity."""
    read = compile_field(metric.path)
    text = metric.path.text

    def measure(fields: Fields) -> Decimal | Unmeterable:
        return _quantity(read(fields), text)

    return measure


def _quantity(value: object, path: str) -> Decimal | Unmeterable:
    number = _number(value)
    if number is None:
        return Unmeterable(f"{path} {_why_no_number(value)}")
    if not number.is_finite() or number < 0:
        return Unmeterable(f"{path} is {str(number)[:_SHOWN_CHARACTERS]}; a quantity is zero or more")
    if number.is_zero():
        return Decimal(0)
    if _digit_count(number) > MAX_QUANTITY_DIGITS:
        return Unmeterable(f"{path} has more than {MAX_QUANTITY_DIGITS} digits")
    return number


def _number(value: object) -> Decimal | None:
    """Return the value as a number; a numeric string counts as its number, true and false are none."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    # Decimal reads more than JSON's numerals: 1_000, and the digits of every script.
    if isinstance(value, str) and value.isascii() and "_" not in value:
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return None


def _why_no_number(value: object) -> str:
    if value is None:
        return "is missing or null"
    if isinstance(value, str):
        return f"is {value[:_SHOWN_CHARACTERS]!r}, not a number"
    return "is not a number"


def _digit_count(number: Decimal) -> int:
    """Return how many digits a finite number has when written without an exponent."""
    _, digits, exponent = number.as_tuple()
    places = exponent if isinstance(exponent, int) else 0
    return max(len(digits) + max(places, 0), -places)
