"""What counts as a number in an event, and the bounds of a quantity."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

from faregate.base.limits import MAX_QUANTITY_DIGITS

_SHOWN_CHARACTERS: Final = 40
_SMALL: Final = 10**MAX_QUANTITY_DIGITS


def as_number(value: object) -> int | Decimal | None:
    """Return a finite number, or a text that is a numeral, as its number; None for all else, true and false too."""
    if isinstance(value, int):
        return None if isinstance(value, bool) else value
    number = parse_number(value)
    return number if number is not None and number.is_finite() else None


def parse_number(value: object) -> Decimal | None:
    """Return a value as a Decimal, infinities and NaN included; None for what is no number."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int):
        return None if isinstance(value, bool) else Decimal(value)
    # Decimal reads more than JSON's numerals: 1_000, and the digits of every script.
    if isinstance(value, str) and value.isascii() and "_" not in value:
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return None


def quantity_of(value: object, *, signed: bool = False) -> Decimal | str:
    """Return a value as a quantity, or the words that say why it is none. Only a `signed` one may be below zero."""
    if type(value) is int and 0 <= value < _SMALL:
        return Decimal(value)
    number = parse_number(value)
    if number is None:
        return _why_no_number(value)
    if not number.is_finite() or (number < 0 and not signed):
        return f"is {str(number)[:_SHOWN_CHARACTERS]}; a quantity is zero or more"
    if number.is_zero():
        return Decimal(0)
    if digit_count(number) > MAX_QUANTITY_DIGITS:
        return f"has more than {MAX_QUANTITY_DIGITS} digits"
    return number


def digit_count(number: Decimal) -> int:
    """Return how many digits a finite number has when written without an exponent."""
    _, digits, exponent = number.as_tuple()
    places = exponent if isinstance(exponent, int) else 0
    return max(len(digits) + max(places, 0), -places)


def _why_no_number(value: object) -> str:
    if value is None:
        return "is missing or null"
    if isinstance(value, str):
        return f"is {value[:_SHOWN_CHARACTERS]!r}, not a number"
    return "is not a number"
