"""From what a metric comes to, to the units that are priced: multiplied, then rounded."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal, InvalidOperation, Overflow
from enum import StrEnum
from typing import Final

from faregate.base.money import EXACT


class UnitRounding(StrEnum):
    """To the nearest step (half away from zero), up, or down."""

    NEAREST = "nearest"
    UP = "up"
    DOWN = "down"


_MODES: Final = {UnitRounding.NEAREST: ROUND_HALF_UP, UnitRounding.UP: ROUND_CEILING, UnitRounding.DOWN: ROUND_FLOOR}
_WIDE: Final = Context(prec=120, traps=[InvalidOperation, Overflow])


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """A value x `multiply`, rounded to `places` decimals (below zero: to tens, hundreds); by default the value itself.

    The period's total is rounded, never an event: a thousand events of 0.4 units are 400 units.
    """

    multiply: Decimal = Decimal(1)
    rounding: UnitRounding | None = None
    places: int = 0


UNCHANGED: Final = Units()


def to_units(units: Units, value: Decimal) -> Decimal:
    """Return a metric's value in units."""
    multiplied = value if units.multiply == 1 else EXACT.multiply(value, units.multiply)
    if units.rounding is None:
        return multiplied
    return round_units(multiplied, units.rounding, units.places)


def round_units(value: Decimal, rounding: UnitRounding, places: int) -> Decimal:
    """Return a value rounded to decimal places; -2 rounds to hundreds."""
    step = Decimal(1).scaleb(-places)
    return value.quantize(step, rounding=_MODES[rounding], context=_WIDE)
