"""What a plan or price must satisfy before it is kept; every fault names its field."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, Inexact
from typing import assert_never

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import (
    MAX_AMOUNT_PLACES,
    MAX_DIMENSION_FIELDS,
    MAX_DISCOUNTS,
    MAX_PACKAGE_AMOUNT,
    MAX_PACKAGE_SIZE,
    MAX_TABLE_ROWS,
    MAX_TIERS,
)
from faregate.base.money import EXACT
from faregate.domain.catalog.adjustments import Adjustments, FixedDiscount, PercentDiscount
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    LeafModel,
    Package,
    Percentage,
    PerUnit,
    PricingModel,
    Tier,
    Volume,
)

_MOST_PERCENT = Decimal(1_000)
_MOST_OVERAGE = Decimal(100)


def model_faults(field: str, model: PricingModel) -> list[FieldFault]:
    """Return what is wrong with a pricing model, each fault under the path of its own field."""
    if isinstance(model, ByDimension):
        return list(_dimension_faults(field, model))
    return list(_leaf_faults(field, model))


def adjustments_faults(field: str, adjustments: Adjustments, model: PricingModel) -> list[FieldFault]:
    """Return what is wrong with a price's adjustments: themselves, with each other, and with the model."""
    faults = [
        *_quantity_faults(f"{field}.included_units", adjustments.included_units, least=Decimal(0)),
        *_discount_faults(f"{field}.discounts", adjustments),
    ]
    for name in ("maximum_spend", "minimum_spend"):
        amount = getattr(adjustments, name)
        if amount is not None:
            faults += _amount_faults(f"{field}.{name}", amount)
    commitment = adjustments.commitment
    if commitment is not None:
        faults += _amount_faults(f"{field}.commitment.amount", commitment.amount)
        faults += _number_faults(f"{field}.commitment.overage", commitment.overage, most=_MOST_OVERAGE)
    return faults or list(_conflicts(field, adjustments, model))


def require(*groups: list[FieldFault]) -> None:
    """Raise `InvalidInput` with every fault of every group, or do nothing."""
    faults = [fault for group in groups for fault in group]
    if faults:
        raise InvalidInput(*faults)


def _leaf_faults(field: str, model: LeafModel) -> Iterator[FieldFault]:
    match model:
        case Flat(amount=amount) | PerUnit(amount=amount):
            yield from _amount_faults(f"{field}.amount", amount)
        case Package(amount=amount, size=size):
            yield from _amount_faults(f"{field}.amount", amount)
            yield from _size_faults(f"{field}.size", size)
        case Graduated(tiers=tiers) | Volume(tiers=tiers):
            yield from _tiers_faults(f"{field}.tiers", tiers)
        case Percentage():
            yield from _percentage_faults(field, model)
        case _:
            assert_never(model)


def _dimension_faults(field: str, model: ByDimension) -> Iterator[FieldFault]:
    if not 1 <= len(model.fields) <= MAX_DIMENSION_FIELDS or len(set(model.fields)) != len(model.fields):
        message = f"must name 1 to {MAX_DIMENSION_FIELDS} fields of the event, each once"
        yield FieldFault(field=f"{field}.fields", message=message)
    if not 1 <= len(model.table) <= MAX_TABLE_ROWS:
        yield FieldFault(field=f"{field}.table", message=f"must have 1 to {MAX_TABLE_ROWS} rows")
        return
    for index, (key, leaf) in enumerate(model.table.items()):
        if len(key) != len(model.fields):
            message = f"must have {len(model.fields)} values, one for each of the fields"
            yield FieldFault(field=f"{field}.table[{index}].values", message=message)
        yield from _leaf_faults(f"{field}.table[{index}].model", leaf)
    if model.default is not None:
        yield from _leaf_faults(f"{field}.default", model.default)


def _tiers_faults(field: str, tiers: tuple[Tier, ...]) -> Iterator[FieldFault]:
    if not 1 <= len(tiers) <= MAX_TIERS:
        yield FieldFault(field=field, message=f"must have 1 to {MAX_TIERS} tiers")
        return
    below = Decimal(0)
    for index, tier in enumerate(tiers):
        path = f"{field}[{index}]"
        last = index == len(tiers) - 1
        if last != (tier.up_to is None):
            message = (
                "must be null: the last tier takes all further units"
                if last
                else "is required: only the last tier has none"
            )
            yield FieldFault(field=f"{path}.up_to", message=message)
        elif tier.up_to is not None:
            yield from _quantity_faults(f"{path}.up_to", tier.up_to, least=Decimal(0))
            if tier.up_to.is_finite() and tier.up_to <= below:
                yield FieldFault(field=f"{path}.up_to", message=f"must be more than {below}, where the tier begins")
            below = tier.up_to if tier.up_to.is_finite() else below
        yield from _amount_faults(f"{path}.unit", tier.unit)
        yield from _amount_faults(f"{path}.flat", tier.flat)
        if tier.cap is not None:
            yield from _amount_faults(f"{path}.cap", tier.cap)
        if tier.size is not None:
            yield from _size_faults(f"{path}.size", tier.size)


def _percentage_faults(field: str, model: Percentage) -> Iterator[FieldFault]:
    yield from _number_faults(f"{field}.percent", model.percent, most=_MOST_PERCENT)
    yield from _amount_faults(f"{field}.fixed", model.fixed)
    for name, amount in (("minimum", model.minimum), ("maximum", model.maximum)):
        if amount is not None:
            yield from _amount_faults(f"{field}.{name}", amount)
    if model.minimum is not None and model.maximum is not None and model.maximum < model.minimum:
        yield FieldFault(field=f"{field}.maximum", message=f"must be at least the minimum, {model.minimum}")
    if model.free_events is not None and not 0 <= model.free_events <= MAX_PACKAGE_SIZE:
        yield FieldFault(field=f"{field}.free_events", message=f"must be from 0 to {MAX_PACKAGE_SIZE}")
    if model.free_value is not None:
        yield from _quantity_faults(f"{field}.free_value", model.free_value, least=Decimal(0))


def _discount_faults(field: str, adjustments: Adjustments) -> Iterator[FieldFault]:
    if len(adjustments.discounts) > MAX_DISCOUNTS:
        yield FieldFault(field=field, message=f"must have at most {MAX_DISCOUNTS} discounts")
    for index, discount in enumerate(adjustments.discounts):
        match discount:
            case PercentDiscount(percent=percent):
                yield from _number_faults(f"{field}[{index}].percent", percent, most=Decimal(100))
            case FixedDiscount(amount=amount):
                yield from _amount_faults(f"{field}[{index}].amount", amount)
            case _:
                assert_never(discount)


def _conflicts(field: str, adjustments: Adjustments, model: PricingModel) -> Iterator[FieldFault]:
    if adjustments.minimum_spend is not None and adjustments.commitment is not None:
        yield FieldFault(field=f"{field}.minimum_spend", message="and a commitment exclude each other; leave one out")
    least = adjustments.commitment.amount if adjustments.commitment is not None else adjustments.minimum_spend
    if least is not None and adjustments.maximum_spend is not None and adjustments.maximum_spend < least:
        yield FieldFault(field=f"{field}.maximum_spend", message=f"must be at least the least spend, {least}")
    models = [*model.table.values(), model.default] if isinstance(model, ByDimension) else [model]
    if adjustments.included_units and any(isinstance(leaf, Percentage | Flat) for leaf in models):
        message = "need units: a percentage has free_events and free_value instead, a flat fee has none"
        yield FieldFault(field=f"{field}.included_units", message=message)


def _amount_faults(field: str, amount: Decimal) -> list[FieldFault]:
    if not amount.is_finite() or not 0 <= amount <= MAX_PACKAGE_AMOUNT:
        return [FieldFault(field=field, message=f"must be from 0 to {MAX_PACKAGE_AMOUNT}, for example '0.50'")]
    return _places_faults(field, amount)


def _number_faults(field: str, number: Decimal, *, most: Decimal) -> list[FieldFault]:
    if not number.is_finite() or not 0 <= number <= most:
        return [FieldFault(field=field, message=f"must be from 0 to {most}, for example '1.5'")]
    return _places_faults(field, number)


def _quantity_faults(field: str, quantity: Decimal, *, least: Decimal) -> list[FieldFault]:
    if not quantity.is_finite() or not least <= quantity <= MAX_PACKAGE_SIZE:
        return [FieldFault(field=field, message=f"must be from {least} to {MAX_PACKAGE_SIZE}, for example 1000000")]
    return _places_faults(field, quantity)


def _places_faults(field: str, number: Decimal) -> list[FieldFault]:
    if has_at_most_places(number, MAX_AMOUNT_PLACES):
        return []
    return [FieldFault(field=field, message=f"must have at most {MAX_AMOUNT_PLACES} decimal places")]


def _size_faults(field: str, size: Decimal) -> list[FieldFault]:
    if size.is_finite() and 0 < size <= MAX_PACKAGE_SIZE and has_at_most_places(size, 0):
        return []
    return [
        FieldFault(field=field, message=f"must be a whole number from 1 to {MAX_PACKAGE_SIZE}, for example 1000000")
    ]


def has_at_most_places(number: Decimal, places: int) -> bool:
    """Return whether a finite number is written with at most so many decimal places."""
    try:
        number.quantize(Decimal((0, (1,), -places)), context=EXACT)
    except Inexact:
        return False
    return True
