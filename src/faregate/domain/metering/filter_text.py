"""A filter as text: `request.route == "/ai/chat" and response.status == 200`.

    filter     any: part (`or` part)*      part: unary (`and` unary)*      unary: [`not`] ( `(` filter `)` | condition )
    condition  PATH == VALUE, != VALUE, in [VALUE, ...], exists, contains VALUE, starts with "TEXT", matches "PATTERN",
               > >= < <= BOUND, between BOUND and BOUND; or `true`, `false` for every event and none
    VALUE      "text" with JSON's escapes, a number, true, false

`is` and `is not` stand for == and !=. Words have no case. An empty text matches every event.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import assert_never

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_CONDITIONS, MAX_FILTER_CHARACTERS, MAX_FILTER_DEPTH
from faregate.domain.metering.event import FieldPath, scalar_text
from faregate.domain.metering.filter import (
    EVERYTHING,
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
    Scalar,
    StartsWith,
    conditions_of,
    depth_of,
    normal_form,
)
from faregate.domain.metering.text_scanner import Scanner

_OPERATORS = (
    "==",
    "!=",
    ">=",
    "<=",
    ">",
    "<",
    "is not",
    "is",
    "in",
    "exists",
    "contains",
    "starts with",
    "matches",
    "between",
)


def parse_filter(field: str, text: str) -> Filter:
    """Return the filter in normal form; `InvalidInput` on `field` points at the column that is wrong."""
    if len(text) > MAX_FILTER_CHARACTERS:
        raise InvalidInput.of(field, f"must have at most {MAX_FILTER_CHARACTERS} characters")
    scanner = Scanner(field, text)
    if scanner.is_at_end():
        return EVERYTHING
    found = _any(scanner, 0)
    if not scanner.is_at_end():
        scanner.fail("expected 'and', 'or' or the end of the filter")
    return checked_filter(field, found)


def checked_filter(field: str, criteria: Filter) -> Filter:
    """Return the filter in normal form; `InvalidInput` on `field` where it has too many conditions or is too deep."""
    if sum(1 for _ in conditions_of(criteria)) > MAX_CONDITIONS:
        raise InvalidInput.of(field, f"must have at most {MAX_CONDITIONS} conditions")
    if depth_of(criteria) > MAX_FILTER_DEPTH:
        raise InvalidInput.of(field, f"must be at most {MAX_FILTER_DEPTH} levels deep")
    return normal_form(criteria)


def filter_text(criteria: Filter) -> str:
    """Return the filter as text that `parse_filter` reads as its normal form."""
    match criteria:
        case All(parts=()):
            return "true"
        case AnyOf(parts=()):
            return "false"
        case All(parts=parts):
            return " and ".join(_inner(part, AnyOf) for part in parts)
        case AnyOf(parts=parts):
            return " or ".join(_inner(part, All) for part in parts)
        case Not(part=part):
            text = filter_text(part)
            return f"not ({text})" if isinstance(part, All | AnyOf) and part.parts else f"not {text}"
        case _:
            return condition_text(criteria)


def condition_text(condition: Condition) -> str:
    """Return one condition as text."""
    path = condition.path.text
    match condition:
        case Is(value=value):
            return f"{path} == {_value_text(value)}"
        case IsNot(value=value):
            return f"{path} != {_value_text(value)}"
        case In(values=values):
            return f"{path} in [{', '.join(_value_text(value) for value in values)}]"
        case Exists():
            return f"{path} exists"
        case Contains(value=value):
            return f"{path} contains {_value_text(value)}"
        case StartsWith(prefix=prefix):
            return f"{path} starts with {_value_text(prefix)}"
        case Matches(pattern=pattern):
            return f"{path} matches {_value_text(pattern)}"
        case Compares(comparison=comparison, bound=bound):
            return f"{path} {comparison} {_value_text(bound)}"
        case Between(low=low, high=high):
            return f"{path} between {_value_text(low)} and {_value_text(high)}"
        case _:
            assert_never(condition)


def _inner(part: Filter, looser: type[All | AnyOf]) -> str:
    # "or" binds less than "and"; a group inside a group of its own kind keeps its brackets, which change nothing.
    grouped = isinstance(part, All | AnyOf) and bool(part.parts) and (isinstance(part, looser) or len(part.parts) > 1)
    return f"({filter_text(part)})" if grouped else filter_text(part)


def _value_text(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(scalar_text(value))
    return json.dumps(value, ensure_ascii=False)


def _any(scanner: Scanner, depth: int) -> Filter:
    parts = [_all(scanner, depth)]
    while scanner.take("or"):
        parts.append(_all(scanner, depth))
    return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))


def _all(scanner: Scanner, depth: int) -> Filter:
    parts = [_unary(scanner, depth)]
    while scanner.take("and"):
        parts.append(_unary(scanner, depth))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _unary(scanner: Scanner, depth: int) -> Filter:
    if depth > MAX_FILTER_DEPTH:
        scanner.fail(f"a filter is at most {MAX_FILTER_DEPTH} levels deep")
    if scanner.take("not"):
        return Not(_unary(scanner, depth + 1))
    if scanner.take("("):
        found = _any(scanner, depth + 1)
        scanner.require(")", after="what stands in brackets")
        return found
    if scanner.take("true"):
        return EVERYTHING
    if scanner.take("false"):
        return NOTHING
    path = scanner.take_path()
    if path is None:
        scanner.fail("expected a field such as request.route, 'not' or '('")
    return _condition(scanner, path)


def _condition(scanner: Scanner, path: FieldPath) -> Filter:
    operator = scanner.take(*_OPERATORS)
    match operator:
        case "==" | "is":
            return Is(path=path, value=_value(scanner))
        case "!=" | "is not":
            return IsNot(path=path, value=_value(scanner))
        case "in":
            return In(path=path, values=_values(scanner))
        case "exists":
            return Exists(path=path)
        case "contains":
            return Contains(path=path, value=_value(scanner))
        case "starts with":
            return StartsWith(path=path, prefix=_text(scanner))
        case "matches":
            return Matches(path=path, pattern=_text(scanner))
        case ">" | ">=" | "<" | "<=":
            return Compares(path=path, comparison=Comparison(operator), bound=_bound(scanner))
        case "between":
            low = _bound(scanner)
            scanner.require("and", after="the lower bound")
            return Between(path=path, low=low, high=_bound(scanner))
        case _:
            return scanner.fail(f"expected one of {', '.join(_OPERATORS)} after {path.text}")


def _value(scanner: Scanner) -> Scalar:
    if scanner.take("true"):
        return True
    if scanner.take("false"):
        return False
    return _bound(scanner, expected='expected a value: "text" in double quotes, a number, true or false')


def _bound(scanner: Scanner, *, expected: str = 'expected a number or a "text" in double quotes') -> Orderable:
    number = scanner.take_number()
    if number is not None:
        return number
    text = scanner.take_string()
    if text is None:
        scanner.fail(expected)
    return text


def _text(scanner: Scanner) -> str:
    text = scanner.take_string()
    if text is None:
        scanner.fail('expected a "text" in double quotes')
    return text


def _values(scanner: Scanner) -> tuple[Scalar, ...]:
    scanner.require("[", after="'in'")
    values = [_value(scanner)]
    while scanner.take(","):
        values.append(_value(scanner))
    scanner.require("]", after="the last value")
    return tuple(values)
