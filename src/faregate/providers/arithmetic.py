"""The providers' own sums: whole numbers and fractions, sharing nothing with the code whose results they check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction


def package_line(
    values: Iterable[str], *, unit_amount: str, divide_by: int, is_rounded_up: bool
) -> tuple[Fraction, int]:
    """Return a period's quantity and its line in minor units.

    Values and `unit_amount` are numerals. The quantity is rounded to whole packages once, on the total; the amount to
    the minor unit once, half away from zero.
    """
    quantity = added_up(values)
    packages = packages_of(quantity, divide_by, is_rounded_up=is_rounded_up)
    return quantity, half_away_from_zero(packages * Fraction(unit_amount))


def packages_of(quantity: Fraction, divide_by: int, *, is_rounded_up: bool) -> int:
    """Return a quantity's whole packages, a begun one counted or not; at least 0."""
    return max(0, -(-quantity // divide_by) if is_rounded_up else quantity // divide_by)


def unit_line(values: Iterable[str], *, unit_amount: str) -> tuple[Fraction, int]:
    """Return a period's quantity and its line: `unit_amount` for every unit, parts of a unit their part."""
    quantity = added_up(values)
    return quantity, half_away_from_zero(max(quantity, Fraction(0)) * Fraction(unit_amount))


@dataclass(frozen=True, slots=True)
class PriceStep:
    """Units up to `up_to` (None: all further ones) cost `unit_amount` each and `flat_amount` once."""

    up_to: Fraction | None
    unit_amount: Fraction
    flat_amount: Fraction


def graduated_line(values: Iterable[str], steps: Sequence[PriceStep]) -> tuple[Fraction, int]:
    """Return a period's quantity and its line, each unit at the price of the step that it falls in."""
    quantity = added_up(values)
    amount, done = Fraction(0), Fraction(0)
    for step in steps:
        if quantity <= done:
            break
        top = quantity if step.up_to is None else min(quantity, step.up_to)
        amount += step.flat_amount + (top - done) * step.unit_amount
        done = top
    return quantity, half_away_from_zero(amount)


def volume_line(values: Iterable[str], steps: Sequence[PriceStep]) -> tuple[Fraction, int]:
    """Return a period's quantity and its line, all units at the price of the step that the total falls in."""
    quantity = added_up(values)
    if quantity <= 0:
        return quantity, 0
    step = next(step for step in steps if step.up_to is None or quantity <= step.up_to)
    return quantity, half_away_from_zero(step.flat_amount + quantity * step.unit_amount)


def taken_off(left: int, *, percent_off: str | None, amount_off: int | None) -> int:
    """Return what a coupon takes off `left` minor units: a share of them or an amount, never more than there is."""
    off = half_away_from_zero(left * Fraction(percent_off) / 100) if percent_off is not None else amount_off or 0
    return max(0, min(off, left))


@dataclass(frozen=True, slots=True)
class TierPart:
    """What one tier comes to: `quantity` units at `unit_amount`, or, with no unit amount, its flat amount."""

    tier: int
    quantity: Fraction
    unit_amount: Fraction | None
    amount: int


def tier_parts(quantity: Fraction, steps: Sequence[PriceStep], *, is_graduated: bool) -> list[TierPart]:
    """Return the parts of a tiered line: they add up to the line that is rounded once, half away from zero.

    Graduated: each unit at its own tier's price. Volume: all units at the price of the tier that the total falls in.
    """
    exact: list[tuple[int, Fraction, Fraction | None, Fraction]] = []
    done = Fraction(0)
    for tier, step in enumerate(steps):
        is_last = step.up_to is None or quantity <= step.up_to
        if quantity <= done or (not is_graduated and not is_last):
            continue
        top = quantity if step.up_to is None else min(quantity, step.up_to)
        units = top - done if is_graduated else quantity
        exact.append((tier, units, step.unit_amount, units * step.unit_amount))
        if step.flat_amount:
            exact.append((tier, Fraction(0), None, step.flat_amount))
        done = top if is_graduated else quantity
    amounts = rounded_together([amount for *_, amount in exact])
    return [TierPart(*part[:3], amount) for part, amount in zip(exact, amounts, strict=True)]


def rounded_together(amounts: Iterable[Fraction]) -> list[int]:
    """Return whole amounts whose sum is the rounded sum: each is the step between two rounded running totals."""
    rounded = []
    total, done = Fraction(0), 0
    for amount in amounts:
        total += amount
        rounded.append(half_away_from_zero(total) - done)
        done += rounded[-1]
    return rounded


def apportioned(amount: int, weights: Sequence[int]) -> list[int]:
    """Return an amount's parts in proportion to weights, none below zero.

    Where the amount is not above the weights' sum, no part is above its weight.
    """
    whole = sum(weights)
    return rounded_together(Fraction(amount * weight, whole) if whole else Fraction(0) for weight in weights)


def added_up(values: Iterable[str]) -> Fraction:
    """Return the exact sum of numerals."""
    return sum((Fraction(value) for value in values), Fraction(0))


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
