"""What a plan or price must satisfy before it is kept; every fault names its field."""

from __future__ import annotations

from decimal import Decimal

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import MAX_NAME_CHARACTERS
from faregate.domain.catalog.price import Package

_MAX_PLACES = 12


def name_faults(field: str, name: str) -> list[FieldFault]:
    """Return what is wrong with a name that people will read."""
    if not name.strip():
        return [FieldFault(field=field, message="must not be empty")]
    if len(name) > MAX_NAME_CHARACTERS:
        return [FieldFault(field=field, message=f"must have at most {MAX_NAME_CHARACTERS} characters")]
    return []


def package_faults(field: str, model: Package) -> list[FieldFault]:
    """Return what is wrong with a package: amount at least 0 with at most 12 decimal places, size above 0 and whole."""
    faults = []
    if not model.amount.is_finite() or model.amount < 0:
        faults.append(FieldFault(field=f"{field}.amount", message="must be zero or more, for example '0.50'"))
    elif _places(model.amount) > _MAX_PLACES:
        faults.append(FieldFault(field=f"{field}.amount", message=f"must have at most {_MAX_PLACES} decimal places"))
    if not model.size.is_finite() or model.size <= 0 or model.size != model.size.to_integral_value():
        faults.append(FieldFault(field=f"{field}.size", message="must be a whole number above zero, for example 1000000"))
    return faults


def require(*groups: list[FieldFault]) -> None:
    """Raise `InvalidInput` with every fault of every group, or do nothing."""
    faults = [fault for group in groups for fault in group]
    if faults:
        raise InvalidInput(*faults)


def _places(amount: Decimal) -> int:
    exponent = amount.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
