"""The provider's own sums: whole numbers and fractions, sharing nothing with the code whose results they check."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction


def package_line(values: Iterable[str], *, unit_amount: str, divide_by: int) -> tuple[Fraction, int]:
    """Return a period's quantity and its line in minor units.

    Values and `unit_amount` are numerals. The quantity is rounded up to whole packages once, on the total; the amount
    to the minor unit once, half away from zero.
    """
    quantity = sum((Fraction(value) for value in values), Fraction(0))
    packages = max(0, -(-quantity // divide_by))
    return quantity, half_away_from_zero(packages * Fraction(unit_amount))


def half_away_from_zero(amount: Fraction) -> int:
    """Return the nearest whole number; a tie goes away from zero."""
    size = (2 * abs(amount.numerator) + amount.denominator) // (2 * amount.denominator)
    return size if amount >= 0 else -size


def numeral(number: Fraction) -> str:
    """Return the exact decimal numeral of a fraction whose denominator has no prime factor but 2 and 5."""
    places = 0
    while number.denominator != 1:
        number *= 10
        places += 1
    digits = str(abs(number.numerator)).rjust(places + 1, "0")
    sign = "-" if number < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)
