"""What a plan or price must satisfy before it is kept; every fault names its field."""

from __future__ import annotations

from decimal import Decimal, Inexact

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import MAX_AMOUNT_PLACES, MAX_NAME_CHARACTERS, MAX_PACKAGE_AMOUNT, MAX_PACKAGE_SIZE
from faregate.base.money import EXACT
from faregate.domain.catalog.price import Package


def name_faults(field: str, name: str) -> list[FieldFault]:
    """Return what is wrong with a name that people will read."""
    if not name.strip():
        return [FieldFault(field=field, message="must not be empty")]
    if len(name) > MAX_NAME_CHARACTERS:
        return [FieldFault(field=field, message=f"must have at most {MAX_NAME_CHARACTERS} characters")]
    return []


def package_faults(field: str, model: Package) -> list[FieldFault]:
    """Return what is wrong with a package: its amount or size is out of bounds, or has too many decimal places."""
    faults = []
    if not model.amount.is_finite() or not 0 <= model.amount <= MAX_PACKAGE_AMOUNT:
        message = f"must be from 0 to {MAX_PACKAGE_AMOUNT}, for example '0.50'"
        faults.append(FieldFault(field=f"{field}.amount", message=message))
    elif not _has_at_most_places(model.amount, MAX_AMOUNT_PLACES):
        message = f"must have at most {MAX_AMOUNT_PLACES} decimal places"
        faults.append(FieldFault(field=f"{field}.amount", message=message))
    if not model.size.is_finite() or not 0 < model.size <= MAX_PACKAGE_SIZE or not _has_at_most_places(model.size, 0):
        message = f"must be a whole number from 1 to {MAX_PACKAGE_SIZE}, for example 1000000"
        faults.append(FieldFault(field=f"{field}.size", message=message))
    return faults


def require(*groups: list[FieldFault]) -> None:
    """Raise `InvalidInput` with every fault of every group, or do nothing."""
    faults = [fault for group in groups for fault in group]
    if faults:
        raise InvalidInput(*faults)


def _has_at_most_places(number: Decimal, places: int) -> bool:
    try:
        number.quantize(Decimal((0, (1,), -places)), context=EXACT)
    except Inexact:
        return False
    return True
