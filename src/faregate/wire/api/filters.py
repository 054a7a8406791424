"""A meter's filter on the wire: as a tree, or as text."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, assert_never

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_CONDITION_VALUES, MAX_CONDITIONS, MAX_FILTER_CHARACTERS, MAX_FILTER_DEPTH
from faregate.domain.metering.event import FieldPath, parse_field_path, scalar_text
from faregate.domain.metering.filter import (
    EVERYTHING,
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
)
from faregate.domain.metering.filter_text import checked_filter, parse_filter
from faregate.domain.metering.numbers import as_number
from faregate.wire.patterns import compile_pattern

ConditionText = Annotated[str, Meta(max_length=1_000, pattern="^[^\\x00]*$")]
ConditionValue = ConditionText | int | bool
FilterText = Annotated[str, Meta(max_length=MAX_FILTER_CHARACTERS, pattern="^[^\\x00]*$")]
"""`request.route == "/ai/chat" and response.status == 200`."""


class Operator(StrEnum):
    """How a field stands to the value of a condition."""

    IS = "is"
    IS_NOT = "is not"
    IN = "in"
    EXISTS = "exists"
    CONTAINS = "contains"
    STARTS_WITH = "starts with"
    MATCHES = "matches"
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    BETWEEN = "between"


class FilterShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of: `all` parts hold, `any` part holds, the part does `not` hold, or a condition on a `field`.

    Without any part, every event matches. A condition's `value` is a text, a whole number, true or false (a
    decimal as its numeral: a number equals its numeral); a list for `in`, [low, high] for `between`, none for `exists`.
    """

    all: Annotated[list[FilterShape], Meta(max_length=MAX_CONDITIONS)] | UnsetType = UNSET
    any: Annotated[list[FilterShape], Meta(min_length=1, max_length=MAX_CONDITIONS)] | UnsetType = UNSET
    not_: FilterShape | UnsetType = msgspec.field(default=UNSET, name="not")
    field: str | UnsetType = UNSET
    operator: Operator | UnsetType = UNSET
    value: ConditionValue | Annotated[list[ConditionValue], Meta(max_length=MAX_CONDITION_VALUES)] | UnsetType = UNSET


def filter_shape(criteria: Filter) -> FilterShape:
    """Return a filter as it travels: `all` at its root, where it is one condition or none."""
    shape = _shape(criteria)
    return FilterShape(all=[shape]) if isinstance(shape.field, str) else shape


def to_filter(shape: FilterShape | UnsetType, text: str | UnsetType) -> Filter:
    """Return the filter that is asked for, as a tree or as text; `InvalidInput` names the part that is wrong."""
    if (shape is UNSET) == (text is UNSET):
        raise InvalidInput.of("filter", "give either filter or filter_text, for example {'all': []} for every event")
    if isinstance(text, str):
        criteria = parse_filter("filter_text", text)
        _require_patterns("filter_text", criteria)
        return criteria
    criteria = checked_filter("filter", _tree("filter", shape, 1)) if isinstance(shape, FilterShape) else All(())
    _require_patterns("filter", criteria)
    return criteria


def _require_patterns(field: str, criteria: Filter) -> None:
    for condition in conditions_of(criteria):
        if isinstance(condition, Matches):
            try:
                compile_pattern(condition.pattern)
            except InvalidInput as error:
                raise InvalidInput.of(field, error.faults[0].message) from error


def _tree(where: str, shape: FilterShape, depth: int) -> Filter:
    given = [
        name
        for name, part in (("all", shape.all), ("any", shape.any), ("not", shape.not_), ("field", shape.field))
        if part is not UNSET
    ]
    if not given and depth == 1 and shape.operator is UNSET and shape.value is UNSET:
        return EVERYTHING
    if len(given) != 1 or depth > MAX_FILTER_DEPTH:
        wrong = (
            f"be at most {MAX_FILTER_DEPTH} levels deep" if len(given) == 1 else "have one of all, any, not and field"
        )
        raise InvalidInput.of(where, f"must {wrong}")
    if given != ["field"] and not (shape.operator is UNSET and shape.value is UNSET):
        raise InvalidInput.of(where, "operator and value belong to a condition, beside its field")
    if isinstance(shape.all, list):
        return All(tuple(_tree(f"{where}.all[{index}]", part, depth + 1) for index, part in enumerate(shape.all)))
    if isinstance(shape.any, list):
        return AnyOf(tuple(_tree(f"{where}.any[{index}]", part, depth + 1) for index, part in enumerate(shape.any)))
    if isinstance(shape.not_, FilterShape):
        return Not(_tree(f"{where}.not", shape.not_, depth + 1))
    path = parse_field_path(f"{where}.field", shape.field if isinstance(shape.field, str) else "")
    return _condition(where, path, shape)


def _condition(where: str, path: FieldPath, shape: FilterShape) -> Condition:
    operator = Operator.IS if shape.operator is UNSET else shape.operator
    match operator:
        case Operator.IS:
            return Is(path=path, value=_one(where, shape))
        case Operator.IS_NOT:
            return IsNot(path=path, value=_one(where, shape))
        case Operator.IN:
            return In(path=path, values=_several(where, shape, "a list of one value or more"))
        case Operator.EXISTS:
            return _exists(where, path, shape)
        case Operator.CONTAINS:
            return Contains(path=path, value=_one(where, shape))
        case Operator.STARTS_WITH | Operator.MATCHES:
            text = _text(where, shape)
            return (
                Matches(path=path, pattern=text) if operator is Operator.MATCHES else StartsWith(path=path, prefix=text)
            )
        case Operator.ABOVE | Operator.AT_LEAST | Operator.BELOW | Operator.AT_MOST:
            return Compares(path=path, comparison=Comparison(operator), bound=_bound(where, _one(where, shape)))
        case Operator.BETWEEN:
            return _between(where, path, shape)
        case _:
            assert_never(operator)


def _exists(where: str, path: FieldPath, shape: FilterShape) -> Exists:
    if shape.value is not UNSET:
        raise InvalidInput.of(f"{where}.value", "of 'exists' must be left out")
    return Exists(path=path)


def _between(where: str, path: FieldPath, shape: FilterShape) -> Between:
    bounds = _several(where, shape, "a list of two bounds, the lower one first")
    if len(bounds) != 2:  # noqa: PLR2004 - low and high
        raise InvalidInput.of(f"{where}.value", "must be a list of two bounds, the lower one first")
    return Between(path=path, low=_bound(where, bounds[0]), high=_bound(where, bounds[1]))


def _one(where: str, shape: FilterShape) -> Scalar:
    if isinstance(shape.value, list) or shape.value is UNSET:
        raise InvalidInput.of(f"{where}.value", "must be a text, a whole number, true or false")
    return shape.value


def _several(where: str, shape: FilterShape, what: str) -> tuple[Scalar, ...]:
    if not isinstance(shape.value, list) or not shape.value:
        raise InvalidInput.of(f"{where}.value", f"must be {what}")
    return tuple(shape.value)


def _text(where: str, shape: FilterShape) -> str:
    if not isinstance(shape.value, str):
        raise InvalidInput.of(f"{where}.value", "must be a text")
    return shape.value


def _bound(where: str, value: Scalar) -> Orderable:
    if isinstance(value, bool):
        raise InvalidInput.of(f"{where}.value", "must be a number or a text to compare with")
    number = as_number(value)
    return value if number is None else number


def _shape(criteria: Filter) -> FilterShape:
    match criteria:
        case All(parts=parts):
            return FilterShape(all=[_shape(part) for part in parts])
        case AnyOf(parts=()):
            return FilterShape(not_=FilterShape(all=[]))
        case AnyOf(parts=parts):
            return FilterShape(any=[_shape(part) for part in parts])
        case Not(part=part):
            return FilterShape(not_=_shape(part))
        case _:
            operator, value = _operands(criteria)
            return FilterShape(field=criteria.path.text, operator=operator, value=value)


def _operands(condition: Condition) -> tuple[Operator, ConditionValue | list[ConditionValue] | UnsetType]:
    match condition:
        case Is(value=value):
            return Operator.IS, _plain(value)
        case IsNot(value=value):
            return Operator.IS_NOT, _plain(value)
        case In(values=values):
            return Operator.IN, [_plain(value) for value in values]
        case Exists():
            return Operator.EXISTS, UNSET
        case Contains(value=value):
            return Operator.CONTAINS, _plain(value)
        case StartsWith(prefix=prefix):
            return Operator.STARTS_WITH, prefix
        case Matches(pattern=pattern):
            return Operator.MATCHES, pattern
        case Compares(comparison=comparison, bound=bound):
            return Operator(comparison), _plain(bound)
        case Between(low=low, high=high):
            return Operator.BETWEEN, [_plain(low), _plain(high)]
        case _:
            assert_never(condition)


def _plain(value: Scalar) -> ConditionValue:
    return str(scalar_text(value)) if isinstance(value, Decimal) else value
