"""How much an event counts for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Final, TypeVar, assert_never

from faregate.base.clock import to_microseconds
from faregate.base.money import EXACT
from faregate.domain.metering.aggregate import (
    Aggregate,
    Distinct,
    Highest,
    Last,
    Level,
    Lowest,
    Mean,
    Total,
    distinct_of,
)
from faregate.domain.metering.event import Event, FieldPath, Several, scalar_text
from faregate.domain.metering.expression import Expression, compile_expression, fields_of
from faregate.domain.metering.numbers import quantity_of

T = TypeVar("T")

_ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The number of events; a `weighted` one counts each for the calls that it stands for."""

    weighted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """The sum of a numeric field; unweighted, each event counts once whatever its sampling weight."""

    path: FieldPath
    weighted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SumOf:
    """The sum of an arithmetic expression of fields."""

    expression: Expression
    weighted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unique:
    """How many different values a field has: users, companies, or any."""

    path: FieldPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Min:
    """The smallest value of a numeric field."""

    path: FieldPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Max:
    """The largest value of a numeric field."""

    path: FieldPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """The mean of a numeric field."""

    path: FieldPath
    weighted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """The value of a numeric field in the latest event, by the time the events happened."""

    path: FieldPath


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedSum:
    """A level over time: each event changes it by a numeric field, up or down.

    It counts for the mean of the level over the period, which begins at zero.
    """

    path: FieldPath


AdditiveMetric = Count | Sum | SumOf
"""What events count for adds up: a total needs no state but itself."""

Metric = AdditiveMetric | Unique | Min | Max | Average | Latest | WeightedSum


@dataclass(frozen=True, slots=True)
class Unmeterable:
    """The event matched, but its field gives no quantity; `reason` says why, in words for the operator."""

    reason: str


def paths_of(metric: Metric) -> Iterator[FieldPath]:
    """Yield the paths that the metric reads."""
    match metric:
        case Count():
            return
        case SumOf(expression=expression):
            yield from fields_of(expression)
        case _:
            yield metric.path


def compile_quantity(
    metric: AdditiveMetric, reading: Callable[[FieldPath], Callable[[T], object]]
) -> Callable[[T, int], Decimal | Unmeterable]:
    """Return a function from an event's fields and weight to its quantity."""
    match metric:
        case Count(weighted=True):
            return lambda _, weight: Decimal(weight)
        case Count():
            return lambda _, __: _ONE
        case Sum(path=path, weighted=weighted):
            return _weighted(compile_number(path, reading), weighted=weighted)
        case SumOf(expression=expression, weighted=weighted):
            return _weighted(_expressed(compile_expression(expression, reading)), weighted=weighted)
        case _:
            assert_never(metric)


def compile_state(
    metric: Metric, reading: Callable[[FieldPath], Callable[[T], object]]
) -> Callable[[T, Event], Aggregate | Unmeterable]:
    """Return a function from an event, its fields given apart, to the state of that event alone."""
    match metric:
        case Unique(path=path):
            return _distinct(reading(path), path.text)
        case Min(path=path):
            return _state(compile_number(path, reading, combine=min), lambda value, _: Lowest(value))
        case Max(path=path):
            return _state(compile_number(path, reading, combine=max), lambda value, _: Highest(value))
        case Average(path=path, weighted=True):
            return _state(compile_number(path, reading), _weighted_mean)
        case Average(path=path):
            return _state(compile_number(path, reading), lambda value, _: Mean(value, _ONE))
        case Latest(path=path):
            return _state(
                compile_number(path, reading), lambda value, event: Last(to_microseconds(event.occurred_at), value)
            )
        case WeightedSum(path=path):
            return _state(compile_number(path, reading, signed=True), _level)
        case _:
            return _total(compile_quantity(metric, reading))


def compile_number(
    path: FieldPath,
    reading: Callable[[FieldPath], Callable[[T], object]],
    *,
    combine: Callable[[list[Decimal]], Decimal] | None = None,
    signed: bool = False,
) -> Callable[[T], Decimal | Unmeterable]:
    """Return a function from an event's fields to the number at a path; of several numbers, their sum or `combine`."""
    read, name = reading(path), path.text

    def one(value: object) -> Decimal | Unmeterable:
        quantity = quantity_of(value, signed=signed)
        return quantity if isinstance(quantity, Decimal) else Unmeterable(f"{name} {quantity}")

    def several(values: Several) -> Decimal | Unmeterable:
        if not values:
            return Unmeterable(f"{name} is missing or null")
        numbers = []
        for value in values:
            number = one(value)
            if isinstance(number, Unmeterable):
                return number
            numbers.append(number)
        return added_up(numbers) if combine is None else combine(numbers)

    def measure(fields: T) -> Decimal | Unmeterable:
        value = read(fields)
        return several(value) if isinstance(value, Several) else one(value)

    return measure


def added_up(numbers: Iterable[Decimal]) -> Decimal:
    """Return the exact sum."""
    return reduce(EXACT.add, numbers, Decimal(0))


def _weighted(
    measure: Callable[[T], Decimal | Unmeterable], *, weighted: bool
) -> Callable[[T, int], Decimal | Unmeterable]:
    def times_weight(fields: T, weight: int) -> Decimal | Unmeterable:
        quantity = measure(fields)
        return quantity if isinstance(quantity, Unmeterable) else EXACT.multiply(quantity, weight)

    def once(fields: T, weight: int) -> Decimal | Unmeterable:
        del weight
        return measure(fields)

    return times_weight if weighted else once


def _expressed(compute: Callable[[T], Decimal | str]) -> Callable[[T], Decimal | Unmeterable]:
    def measure(fields: T) -> Decimal | Unmeterable:
        value = compute(fields)
        return Unmeterable(value) if isinstance(value, str) else value

    return measure


def _total(measure: Callable[[T, int], Decimal | Unmeterable]) -> Callable[[T, Event], Aggregate | Unmeterable]:
    def state(fields: T, event: Event) -> Aggregate | Unmeterable:
        quantity = measure(fields, event.weight)
        return quantity if isinstance(quantity, Unmeterable) else Total(quantity)

    return state


def _state(
    measure: Callable[[T], Decimal | Unmeterable], make: Callable[[Decimal, Event], Aggregate]
) -> Callable[[T, Event], Aggregate | Unmeterable]:
    def state(fields: T, event: Event) -> Aggregate | Unmeterable:
        value = measure(fields)
        return value if isinstance(value, Unmeterable) else make(value, event)

    return state


def _weighted_mean(value: Decimal, event: Event) -> Aggregate:
    return Mean(EXACT.multiply(value, event.weight), Decimal(event.weight))


def _level(change: Decimal, event: Event) -> Aggregate:
    return Level(change, EXACT.multiply(change, to_microseconds(event.occurred_at)))


def _distinct(read: Callable[[T], object], name: str) -> Callable[[T, Event], Aggregate | Unmeterable]:
    def state(fields: T, event: Event) -> Aggregate | Unmeterable:
        del event
        found = read(fields)
        texts = [scalar_text(value) for value in (found if isinstance(found, Several) else (found,))]
        if not texts or None in texts:
            return Unmeterable(f"{name} is missing, null, or neither a text, a number nor true or false")
        return Distinct(frozenset(distinct_of(str(text)) for text in texts))

    return state
