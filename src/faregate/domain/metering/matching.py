"""Filters, compiled once to functions; and why an event does not match."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar, assert_never

from faregate.domain.metering.event import FieldPath, Fields, ScalarText, Several, compile_field, scalar_text
from faregate.domain.metering.filter import (
    NOTHING,
    All,
    AnyOf,
    Between,
    Compares,
    Comparison,
    Condition,
    Contains,
    Exists,
    Filter,
    In,
    Is,
    IsNot,
    Matches,
    Not,
    Orderable,
    StartsWith,
    simplify,
)
from faregate.domain.metering.filter_text import condition_text
from faregate.domain.metering.numbers import as_number

Matcher = Callable[[str], bool]
MatcherFactory = Callable[[str], Matcher]
"""From a pattern to a function that tells whether the pattern is found in a text; an adapter makes it."""

T = TypeVar("T")
Reading = Callable[[FieldPath], Callable[[T], object]]
"""From a path to a function that reads it from an event's fields, however they are kept."""

_SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """A condition that kept an event out: the field, what it was (None: missing or null), what would have matched."""

    field: str
    actual: str | None
    expected: str


def compile_filter(criteria: Filter, matchers: MatcherFactory, reading: Reading[T]) -> Callable[[T], bool]:
    """Return a function that tells whether an event's fields satisfy the filter."""
    match criteria:
        case All(parts=()):
            return _always
        case All(parts=parts):
            return _all([compile_filter(part, matchers, reading) for part in parts])
        case AnyOf(parts=parts):
            return _any([compile_filter(part, matchers, reading) for part in parts])
        case Not(part=part):
            holds = compile_filter(part, matchers, reading)
            return lambda fields: not holds(fields)
        case _:
            return _on_field(reading(criteria.path), compile_condition(criteria, matchers))


def compile_condition(condition: Condition, matchers: MatcherFactory) -> Callable[[object], bool]:
    """Return a function that tells whether the value that a condition's path found satisfies it."""
    if isinstance(condition, IsNot):
        equals = compile_condition(Is(path=condition.path, value=condition.value), matchers)
        return lambda value: not equals(value)
    test = _scalar_test(condition, matchers)
    if condition.path.is_single:
        return test
    return lambda value: any(map(test, value)) if isinstance(value, Several) else test(value)


def may_match(criteria: Filter, known: Mapping[str, object], matchers: MatcherFactory) -> bool:
    """Return whether an event with the `known` fields (by path) and any others could satisfy the filter.

    Conditions on other fields are taken as free of each other: True may be said of a filter that contradicts itself.
    """
    return simplify_known(criteria, known, matchers) != NOTHING


def simplify_known(criteria: Filter, known: Mapping[str, object], matchers: MatcherFactory) -> Filter:
    """Return what is left of the filter for events with the `known` fields."""

    def outcome(condition: Condition) -> bool | None:
        path = condition.path.text
        return compile_condition(condition, matchers)(known[path]) if path in known else None

    return simplify(criteria, outcome)


def explain_mismatch(criteria: Filter, matchers: MatcherFactory, fields: Fields) -> list[Mismatch]:
    """Return the conditions that keep the event out; empty exactly where it matches."""
    found: list[Mismatch] = []
    _explain(criteria, matchers, fields, wanted=True, found=found)
    if not found and not compile_filter(criteria, matchers, compile_field)(fields):
        # `true` and `false` in the filter have no field that could be to blame.
        found.append(Mismatch(field="filter", actual=None, expected="no event at all"))
    return found


def _explain(
    criteria: Filter, matchers: MatcherFactory, fields: Fields, *, wanted: bool, found: list[Mismatch]
) -> None:
    if compile_filter(criteria, matchers, compile_field)(fields) is wanted:
        return
    match criteria:
        case All(parts=parts) | AnyOf(parts=parts):
            for part in parts:
                _explain(part, matchers, fields, wanted=wanted, found=found)
        case Not(part=part):
            _explain(part, matchers, fields, wanted=not wanted, found=found)
        case _:
            expected = describe(criteria)
            found.append(
                Mismatch(
                    field=criteria.path.text,
                    actual=shown(compile_field(criteria.path)(fields)),
                    expected=expected if wanted else f"not: {expected}",
                )
            )


def describe(condition: Condition) -> str:
    """Return what a condition asks of its field, in the words of the filter's text."""
    return condition_text(condition).removeprefix(condition.path.text).strip()


def shown(value: object) -> str | None:
    """Return a value for people, cut short; None for a missing or null one."""
    if value is None or (isinstance(value, Several) and not value):
        return None
    text = scalar_text(value)
    if isinstance(text, bool):
        return "true" if text else "false"
    return (text if text is not None else str(list(value) if isinstance(value, Several) else value))[:_SHOWN_CHARACTERS]


def _always(fields: object) -> bool:
    del fields
    return True


def _all(checks: list[Callable[[T], bool]]) -> Callable[[T], bool]:
    if len(checks) == 1:
        return checks[0]

    def matches(fields: T) -> bool:
        for check in checks:  # noqa: SIM110 - a generator costs more than the checks
            if not check(fields):
                return False
        return True

    return matches


def _any(checks: list[Callable[[T], bool]]) -> Callable[[T], bool]:
    def matches(fields: T) -> bool:
        for check in checks:  # noqa: SIM110 - a generator costs more than the checks
            if check(fields):
                return True
        return False

    return matches


def _on_field(read: Callable[[T], object], test: Callable[[object], bool]) -> Callable[[T], bool]:
    def matches(fields: T) -> bool:
        return test(read(fields))

    return matches


def _scalar_test(
    condition: Is | In | Exists | Contains | StartsWith | Matches | Compares | Between, matchers: MatcherFactory
) -> Callable[[object], bool]:
    match condition:
        case Is(value=value):
            return _equals(scalar_text(value))
        case In(values=values):
            texts = frozenset(scalar_text(value) for value in values)
            return lambda found: found is not None and scalar_text(found) in texts
        case Exists():
            return lambda found: found is not None
        case Contains(value=value):
            return _contains(scalar_text(value))
        case StartsWith(prefix=prefix):
            return lambda found: isinstance(text := scalar_text(found), str) and text.startswith(prefix)
        case Matches(pattern=pattern):
            finds = matchers(pattern)
            return lambda found: isinstance(text := scalar_text(found), str) and finds(text)
        case Compares(comparison=comparison, bound=bound):
            return _compares(comparison, bound)
        case Between(low=low, high=high):
            at_least, at_most = _compares(Comparison.AT_LEAST, low), _compares(Comparison.AT_MOST, high)
            return lambda found: at_least(found) and at_most(found)
        case _:
            assert_never(condition)


def _equals(expected: ScalarText) -> Callable[[object], bool]:
    if isinstance(expected, bool):
        return lambda found: found is expected

    def equals(found: object) -> bool:
        return (found if type(found) is str else scalar_text(found)) == expected and found is not None

    return equals


def _contains(part: ScalarText) -> Callable[[object], bool]:
    def contains(found: object) -> bool:
        if isinstance(found, list):
            return any(scalar_text(element) == part and element is not None for element in found)
        text = scalar_text(found)
        return isinstance(part, str) and isinstance(text, str) and part in text

    return contains


def _compares(comparison: Comparison, bound: Orderable) -> Callable[[object], bool]:
    number = as_number(bound)
    if number is None:
        limit = str(bound)
        match comparison:
            case Comparison.ABOVE:
                return lambda found: isinstance(found, str) and found > limit
            case Comparison.AT_LEAST:
                return lambda found: isinstance(found, str) and found >= limit
            case Comparison.BELOW:
                return lambda found: isinstance(found, str) and found < limit
            case Comparison.AT_MOST:
                return lambda found: isinstance(found, str) and found <= limit
            case _:
                assert_never(comparison)
    return _compares_number(comparison, number)


def _compares_number(comparison: Comparison, limit: int | Decimal) -> Callable[[object], bool]:
    match comparison:
        case Comparison.ABOVE:
            return lambda found: (size := as_number(found)) is not None and size > limit
        case Comparison.AT_LEAST:
            return lambda found: (size := as_number(found)) is not None and size >= limit
        case Comparison.BELOW:
            return lambda found: (size := as_number(found)) is not None and size < limit
        case Comparison.AT_MOST:
            return lambda found: (size := as_number(found)) is not None and size <= limit
        case _:
            assert_never(comparison)
