"""Which events a meter counts: a conjunction of conditions on fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from faregate.domain.metering.event import FieldPath, Fields, compile_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Is:
    """The field equals the value. A number equals its numeral: 200 and "200" are the same status."""

    path: FieldPath
    value: str | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """All conditions must hold; without any, every event matches."""

    conditions: tuple[Is, ...]


def compile_filter(criteria: Filter) -> Callable[[Fields], bool]:
    """Return a function that tells whether an event's fields satisfy the filter."""
    checks = tuple((compile_field(condition.path), _comparable(condition.value)) for condition in criteria.conditions)

    def matches(fields: Fields) -> bool:
        return all(_comparable(read(fields)) == expected for read, expected in checks)

    return matches


def may_match(criteria: Filter, known: Mapping[str, object]) -> bool:
    """Return whether an event with the `known` fields (by path) and any others could satisfy the filter."""
    return all(
        _comparable(known[condition.path.text]) == _comparable(condition.value)
        for condition in criteria.conditions
        if condition.path.text in known
    )


def _comparable(value: object) -> object:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    return value
