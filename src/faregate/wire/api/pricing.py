"""Pricing models and adjustments on the wire, as they are asked for. Amounts are major units of the currency."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, assert_never

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.errors import InvalidInput
from faregate.base.limits import (
    MAX_DIMENSION_FIELDS,
    MAX_DIMENSION_VALUE_CHARACTERS,
    MAX_DISCOUNTS,
    MAX_TABLE_ROWS,
    MAX_TIERS,
)
from faregate.domain.catalog.adjustments import Adjustments, Commitment, Discount, FixedDiscount, PercentDiscount
from faregate.domain.catalog.models import (
    ByDimension,
    Flat,
    Graduated,
    LeafModel,
    Package,
    PackageRounding,
    Percentage,
    PerUnit,
    PricingModel,
    Tier,
    Volume,
)
from faregate.domain.metering.event import parse_field_path
from faregate.wire.api.common import bounded

DimensionValue = Annotated[str, Meta(max_length=MAX_DIMENSION_VALUE_CHARACTERS, pattern="^[^\\x00]*$")]
DimensionValues = Annotated[list[DimensionValue], Meta(min_length=1, max_length=MAX_DIMENSION_FIELDS)]


class FlatModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="flat"):
    """`amount` a period, whatever is used."""

    amount: Decimal


class PerUnitModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="per_unit"):
    """`amount` for every unit; fractions of a unit cost their part."""

    amount: Decimal


class PackageModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="package"):
    """`amount` for every begun package of `size` units, or (`round: down`) for every full one.

    The period's total is rounded once.
    """

    amount: Decimal
    size: Decimal
    round: Literal["up", "down"] = "up"


class TierShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units up to and including `up_to`; the last tier has none.

    `unit` for every unit, or for every begun package of `size` units; `flat` once; at most `cap` in all.
    """

    up_to: Decimal | None = None
    unit: Decimal = Decimal(0)
    flat: Decimal = Decimal(0)
    size: Decimal | None = None
    cap: Decimal | None = None


Tiers = Annotated[list[TierShape], Meta(min_length=1, max_length=MAX_TIERS)]


class GraduatedModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="graduated"):
    """Each unit costs what its own tier says. The first tier's `flat` is due without usage too."""

    tiers: Tiers


class VolumeModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="volume"):
    """All units cost what the tier says that the total falls in."""

    tiers: Tiers


class PercentageModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="percentage"):
    """`percent` of each event's value plus `fixed`, at least `minimum` and at most `maximum` an event.

    The period's first `free_events` events, and the first `free_value` of their values, cost nothing.
    """

    percent: Decimal
    fixed: Decimal = Decimal(0)
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    free_events: int | None = None
    free_value: Decimal | None = None


RowModel = FlatModel | PerUnitModel | PackageModel | GraduatedModel | VolumeModel | PercentageModel


class TableRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What events with these values of the fields cost, in the fields' order."""

    values: DimensionValues
    model: RowModel


class ByDimensionModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="by_dimension"):
    """A price table by fields of the event, for example token prices by `request.body.model`.

    Values that no row names are priced by `default`; without one, such an event is unmeterable.
    """

    fields: Annotated[list[str], Meta(min_length=1, max_length=MAX_DIMENSION_FIELDS)]
    table: Annotated[list[TableRow], Meta(min_length=1, max_length=MAX_TABLE_ROWS)]
    default: RowModel | None = None


ModelShape = RowModel | ByDimensionModel


class DiscountShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`percent` (0 to 100) or `amount` off, one of the two."""

    percent: Decimal | UnsetType = UNSET
    amount: Decimal | UnsetType = UNSET


class CommitmentShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`amount` a period is owed even if less is used; usage beyond it costs `overage` times its price."""

    amount: Decimal
    overage: Decimal = Decimal(1)


class AdjustmentsShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Applied in this order: included units, the model, discounts, maximum spend, minimum spend or commitment."""

    included_units: Decimal = Decimal(0)
    discounts: Annotated[tuple[DiscountShape, ...], Meta(max_length=MAX_DISCOUNTS)] = ()
    maximum_spend: Decimal | None = None
    minimum_spend: Decimal | None = None
    commitment: CommitmentShape | None = None


def to_model(field: str, shape: ModelShape) -> PricingModel:
    """Return the model that is asked for; `InvalidInput` names a number that cannot be written in full."""
    if not isinstance(shape, ByDimensionModel):
        return _leaf(field, shape)
    table: dict[tuple[str, ...], LeafModel] = {}
    for index, row in enumerate(shape.table):
        key = tuple(row.values)
        if key in table:
            raise InvalidInput.of(f"{field}.table[{index}].values", f"{', '.join(key)} is in the table twice")
        table[key] = _leaf(f"{field}.table[{index}].model", row.model)
    default = None if shape.default is None else _leaf(f"{field}.default", shape.default)
    fields = tuple(_dimension(f"{field}.fields[{index}]", path) for index, path in enumerate(shape.fields))
    return ByDimension(fields=fields, table=table, default=default)


def to_adjustments(field: str, shape: AdjustmentsShape) -> Adjustments:
    """Return the adjustments that are asked for; `InvalidInput` names what is neither percent nor amount."""
    return Adjustments(
        included_units=bounded(f"{field}.included_units", shape.included_units),
        discounts=tuple(_discount(f"{field}.discounts[{index}]", one) for index, one in enumerate(shape.discounts)),
        maximum_spend=_maybe(f"{field}.maximum_spend", shape.maximum_spend),
        minimum_spend=_maybe(f"{field}.minimum_spend", shape.minimum_spend),
        commitment=None if shape.commitment is None else _commitment(f"{field}.commitment", shape.commitment),
    )


def _dimension(field: str, text: str) -> str:
    path = parse_field_path(field, text)
    if not path.is_single:
        raise InvalidInput.of(field, "must find one value, without [*]")
    return path.text


def _leaf(field: str, shape: RowModel) -> LeafModel:
    match shape:
        case FlatModel(amount=amount):
            return Flat(amount=bounded(f"{field}.amount", amount))
        case PerUnitModel(amount=amount):
            return PerUnit(amount=bounded(f"{field}.amount", amount))
        case PackageModel(amount=amount, size=size):
            return Package(
                amount=bounded(f"{field}.amount", amount),
                size=bounded(f"{field}.size", size),
                rounding=PackageRounding(shape.round),
            )
        case GraduatedModel(tiers=tiers):
            return Graduated(tiers=_tiers(field, tiers))
        case VolumeModel(tiers=tiers):
            return Volume(tiers=_tiers(field, tiers))
        case PercentageModel():
            return Percentage(
                percent=bounded(f"{field}.percent", shape.percent),
                fixed=bounded(f"{field}.fixed", shape.fixed),
                minimum=_maybe(f"{field}.minimum", shape.minimum),
                maximum=_maybe(f"{field}.maximum", shape.maximum),
                free_events=shape.free_events,
                free_value=_maybe(f"{field}.free_value", shape.free_value),
            )
        case _:
            assert_never(shape)


def _tiers(field: str, tiers: list[TierShape]) -> tuple[Tier, ...]:
    return tuple(
        Tier(
            up_to=_maybe(f"{field}.tiers[{index}].up_to", tier.up_to),
            unit=bounded(f"{field}.tiers[{index}].unit", tier.unit),
            flat=bounded(f"{field}.tiers[{index}].flat", tier.flat),
            size=_maybe(f"{field}.tiers[{index}].size", tier.size),
            cap=_maybe(f"{field}.tiers[{index}].cap", tier.cap),
        )
        for index, tier in enumerate(tiers)
    )


def _discount(field: str, shape: DiscountShape) -> Discount:
    match shape.percent, shape.amount:
        case Decimal() as percent, UnsetType():
            return PercentDiscount(percent=bounded(f"{field}.percent", percent))
        case UnsetType(), Decimal() as amount:
            return FixedDiscount(amount=bounded(f"{field}.amount", amount))
        case _:
            raise InvalidInput.of(field, "must have either percent or amount")


def _commitment(field: str, shape: CommitmentShape) -> Commitment:
    return Commitment(
        amount=bounded(f"{field}.amount", shape.amount), overage=bounded(f"{field}.overage", shape.overage)
    )


def _maybe(field: str, number: Decimal | None) -> Decimal | None:
    return None if number is None else bounded(field, number)
