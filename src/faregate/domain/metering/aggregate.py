"""What a set of events comes to: states that can be merged in any order and grouping, and kept as text.

Merging is commutative and associative, and exact: a mean keeps its sum and its count, a unique count its values. Only a
mean's and a level's value, which no decimal may be able to write, are rounded, once, to `VALUE_PLACES`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Final, assert_never

from faregate.base.clock import to_microseconds
from faregate.base.money import EXACT
from faregate.base.periods import Period

VALUE_PLACES: Final = 12
_LONGEST_KEPT: Final = 40
_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of what events count for."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Distinct:
    """The different values seen; a long one is kept as its digest."""

    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Lowest:
    """The smallest value."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Highest:
    """The largest value."""

    value: Decimal


@dataclass(frozen=True, slots=True)
class Mean:
    """Values x weights added up, and the weights."""

    total: Decimal
    weight: Decimal


@dataclass(frozen=True, slots=True)
class Last:
    """The value of the latest event; of several at one instant, the largest."""

    at_us: int
    value: Decimal


@dataclass(frozen=True, slots=True)
class Level:
    """Changes of a level that starts at zero: their sum, and the sum of change x instant in microseconds."""

    change: Decimal
    moment: Decimal


Aggregate = Total | Distinct | Lowest | Highest | Mean | Last | Level


def merge(left: Aggregate, right: Aggregate) -> Aggregate:
    """Return what both sets of events come to together. `TypeError` for states of different metrics."""
    match left, right:
        case Total(), Total():
            return Total(EXACT.add(left.value, right.value))
        case Distinct(), Distinct():
            return left if right.values <= left.values else Distinct(left.values | right.values)
        case Lowest(), Lowest():
            return min(left, right, key=lambda state: state.value)
        case Highest(), Highest():
            return max(left, right, key=lambda state: state.value)
        case Mean(), Mean():
            return Mean(EXACT.add(left.total, right.total), EXACT.add(left.weight, right.weight))
        case Last(), Last():
            return max(left, right, key=lambda state: (state.at_us, state.value))
        case Level(), Level():
            return Level(EXACT.add(left.change, right.change), EXACT.add(left.moment, right.moment))
        case _:
            message = f"a {type(left).__name__} and a {type(right).__name__} have no common state"
            raise TypeError(message)


def value_of(state: Aggregate, period: Period) -> Decimal:
    """Return the metric's value over the period; only a level depends on it."""
    match state:
        case Total(value=value) | Lowest(value=value) | Highest(value=value) | Last(value=value):
            return value
        case Distinct(values=values):
            return Decimal(len(values))
        case Mean(total=total, weight=weight):
            return _rounded(Fraction(total) / Fraction(weight)) if weight else _NOTHING
        case Level(change=change, moment=moment):
            start, end = to_microseconds(period.start), to_microseconds(period.end)
            return _rounded((Fraction(change) * end - Fraction(moment)) / (end - start))
        case _:
            assert_never(state)


def distinct_of(text: str) -> str:
    """Return what a unique count keeps of a value."""
    if len(text) <= _LONGEST_KEPT:
        return text
    # One character longer than any text that is kept as it is.
    return "#" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def encode_aggregate(state: Aggregate) -> str:
    """Return the state as text."""
    match state:
        case Distinct(values=values):
            return json.dumps(["distinct", *sorted(values)], ensure_ascii=False, separators=(",", ":"))
        case Total(value=value):
            return f'["total","{value:f}"]'
        case Lowest(value=value):
            return f'["lowest","{value:f}"]'
        case Highest(value=value):
            return f'["highest","{value:f}"]'
        case Mean(total=total, weight=weight):
            return f'["mean","{total:f}","{weight:f}"]'
        case Last(at_us=at_us, value=value):
            return f'["last","{at_us}","{value:f}"]'
        case Level(change=change, moment=moment):
            return f'["level","{change:f}","{moment:f}"]'
        case _:
            assert_never(state)


def decode_aggregate(text: str) -> Aggregate:
    """Return the state that `encode_aggregate` wrote; `ValueError` for another text."""
    match json.loads(text):
        case ["distinct", *values]:
            return Distinct(frozenset(map(str, values)))
        case ["total", str(value)]:
            return Total(Decimal(value))
        case ["lowest", str(value)]:
            return Lowest(Decimal(value))
        case ["highest", str(value)]:
            return Highest(Decimal(value))
        case ["mean", str(total), str(weight)]:
            return Mean(Decimal(total), Decimal(weight))
        case ["last", str(at_us), str(value)]:
            return Last(int(at_us), Decimal(value))
        case ["level", str(change), str(moment)]:
            return Level(Decimal(change), Decimal(moment))
        case _:
            raise ValueError(text[:_LONGEST_KEPT])


def _rounded(exact: Fraction) -> Decimal:
    scaled = round(exact * 10**VALUE_PLACES)  # a Fraction rounds to the nearest whole number, a half to the even one
    return (
        Decimal(scaled).scaleb(-VALUE_PLACES, EXACT).quantize(Decimal(1).scaleb(-VALUE_PLACES), ROUND_HALF_EVEN, EXACT)
    )
