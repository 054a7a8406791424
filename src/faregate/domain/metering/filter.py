"""Which events a meter counts: a tree of all, any and not over conditions on fields.

Conditions are about scalars; a number equals its numeral, so that 200 and "200" are the same status. A field that is
missing or null satisfies no condition but `is not`, which is the exact opposite of `is`. Where a path goes through all
elements of an array (`[*]`), one element that satisfies the condition is enough (for `is not`: none may be the value).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from faregate.domain.metering.event import FieldPath

Scalar = str | int | Decimal | bool
Orderable = str | int | Decimal


class Comparison(StrEnum):
    """How a field stands to a value: numbers and numerals by size, other texts by their characters."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="


@dataclass(frozen=True, slots=True, kw_only=True)
class Is:
    """The field equals the value."""

    path: FieldPath
    value: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class IsNot:
    """The field does not equal the value, or is missing."""

    path: FieldPath
    value: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class In:
    """The field equals one of the values."""

    path: FieldPath
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists:
    """The field is there and not null."""

    path: FieldPath


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains:
    """The text contains the value's text, or the array has an element that equals it."""

    path: FieldPath
    value: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class StartsWith:
    """The text begins with the prefix."""

    path: FieldPath
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The pattern is found somewhere in the text (RE2's syntax)."""

    path: FieldPath
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compares:
    """The field is above, at least, below, or at most the bound."""

    path: FieldPath
    comparison: Comparison
    bound: Orderable


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """The field is at least `low` and at most `high`."""

    path: FieldPath
    low: Orderable
    high: Orderable


Condition = Is | IsNot | In | Exists | Contains | StartsWith | Matches | Compares | Between


@dataclass(frozen=True, slots=True)
class All:
    """Every part must hold; without any, every event matches."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part at least must hold; without any, no event matches."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part must not hold."""

    part: Filter


Filter = All | AnyOf | Not | Condition

EVERYTHING = All(())
NOTHING = AnyOf(())


def conditions_of(criteria: Filter) -> Iterator[Condition]:
    """Yield the tree's conditions, from left to right."""
    match criteria:
        case All(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                yield from conditions_of(part)
        case Not(part=part):
            yield from conditions_of(part)
        case _:
            yield criteria


def depth_of(criteria: Filter) -> int:
    """Return how deep the tree is; a condition has depth 1."""
    match criteria:
        case All(parts=parts) | AnyOf(parts=parts):
            return 1 + max((depth_of(part) for part in parts), default=0)
        case Not(part=part):
            return 1 + depth_of(part)
        case _:
            return 1


def normal_form(criteria: Filter) -> Filter:
    """Return the same filter without nested conjunctions in conjunctions, groups of one, or double negations."""
    match criteria:
        case All(parts=parts):
            return _grouped(All, parts)
        case AnyOf(parts=parts):
            return _grouped(AnyOf, parts)
        case Not(part=part):
            inner = normal_form(part)
            return inner.part if isinstance(inner, Not) else Not(inner)
        case _:
            return criteria


def _grouped(kind: type[All | AnyOf], parts: tuple[Filter, ...]) -> Filter:
    flat: list[Filter] = []
    for part in map(normal_form, parts):
        if isinstance(part, kind):
            flat.extend(part.parts)
        else:
            flat.append(part)
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def simplify(criteria: Filter, outcome: Callable[[Condition], bool | None]) -> Filter:
    """Return what is left of the filter where some conditions' outcomes are known, None meaning that one is not."""
    match criteria:
        case All(parts=parts):
            left = [part for part in (simplify(part, outcome) for part in parts) if part != EVERYTHING]
            return NOTHING if NOTHING in left else normal_form(All(tuple(left)))
        case AnyOf(parts=parts):
            left = [part for part in (simplify(part, outcome) for part in parts) if part != NOTHING]
            return EVERYTHING if EVERYTHING in left else normal_form(AnyOf(tuple(left)))
        case Not(part=part):
            inner = simplify(part, outcome)
            if inner == EVERYTHING:
                return NOTHING
            return EVERYTHING if inner == NOTHING else normal_form(Not(inner))
        case _:
            known = outcome(criteria)
            return criteria if known is None else EVERYTHING if known else NOTHING
