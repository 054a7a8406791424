"""How much an event counts for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from faregate.base.limits import MAX_QUANTITY_DIGITS
from faregate.domain.metering.event import FieldPath, Fields, compile_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """The sum of a numeric field, each event counted once whatever its sampling weight ("unweighted")."""

    path: FieldPath


Metric = Sum


@dataclass(frozen=True, slots=True)
class Unmeterable:
    """The event matched, but its field gives no quantity; `reason` says why, in words for the operator."""

    reason: str


def compile_metric(metric: Metric) -> Callable[[Fields], Decimal | Unmeterable]:
    """Return a function from an event's fields to its quantity."""
    read = compile_field(metric.path)
    text = metric.path.text

    def measure(fields: Fields) -> Decimal | Unmeterable:
        return _quantity(read(fields), text)

    return measure


def _quantity(value: object, path: str) -> Decimal | Unmeterable:
    if isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, Decimal):
        number = value
    elif isinstance(value, str):
        try:
            number = Decimal(value)
        except InvalidOperation:
            return Unmeterable(f"{path} is {value[:40]!r}, not a number")
    elif value is None:
        return Unmeterable(f"{path} is missing or null")
    else:
        return Unmeterable(f"{path} is not a number")
    if not number.is_finite() or number < 0:
        return Unmeterable(f"{path} is {number}; a quantity is zero or more")
    digits, exponent = number.as_tuple().digits, number.as_tuple().exponent
    if not isinstance(exponent, int) or max(len(digits) + max(exponent, 0), -exponent) > MAX_QUANTITY_DIGITS:
        return Unmeterable(f"{path} has more than {MAX_QUANTITY_DIGITS} digits")
    return number
