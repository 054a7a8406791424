"""Billing meters on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, assert_never

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.errors import InvalidInput
from faregate.base.limits import MAX_EXPRESSION_CHARACTERS, MAX_GROUP_FIELDS, MAX_QUANTITY_DIGITS
from faregate.domain.metering.event import FieldPath, parse_field_path
from faregate.domain.metering.expression import expression_text, parse_expression
from faregate.domain.metering.filter_text import filter_text
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.metric import (
    Average,
    Count,
    Latest,
    Max,
    Metric,
    Min,
    Sum,
    SumOf,
    Unique,
    WeightedSum,
)
from faregate.domain.metering.units import UNCHANGED, UnitRounding, Units
from faregate.domain.metering.windows import ReportingPeriod
from faregate.wire.api.common import Identifier, Name, bounded, plain
from faregate.wire.api.filters import FilterShape, FilterText, filter_shape, to_filter

_PLACES: Final = 12


class CountShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="count", omit_defaults=True):
    """The number of events; `weighted` counts each for the calls that it stands for."""

    weighted: bool = False


class SumShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sum", omit_defaults=True):
    """The sum of a numeric field over the events that match."""

    field: str
    weighted: bool = False


class SumOfShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sum_of", omit_defaults=True):
    """The sum of an arithmetic expression of fields: `response.body.usage.total_tokens - metadata.free ?? 0`."""

    expression: Annotated[str, Meta(max_length=MAX_EXPRESSION_CHARACTERS)]
    weighted: bool = False


class UniqueShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="unique"):
    """How many different values a field has: `user_id`, `company_id`, or any."""

    field: str


class MinShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="min"):
    """The smallest value of a numeric field."""

    field: str


class MaxShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="max"):
    """The largest value of a numeric field."""

    field: str


class AverageShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="average", omit_defaults=True):
    """The mean of a numeric field; `weighted` by the calls that each event stands for."""

    field: str
    weighted: bool = False


class LatestShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="latest"):
    """The value of a numeric field in the latest event, by the time the calls were made."""

    field: str


class WeightedSumShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="weighted_sum"):
    """The mean over the period of a level that begins at zero and that each event changes by a numeric field."""

    field: str


MetricShape = (
    CountShape
    | SumShape
    | SumOfShape
    | UniqueShape
    | MinShape
    | MaxShape
    | AverageShape
    | LatestShape
    | WeightedSumShape
)


class UnitsShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The period's total x `multiply`, rounded to `places` decimals (-2: to hundreds) where a `rounding` is given."""

    multiply: Decimal = Decimal(1)
    rounding: UnitRounding | None = None
    places: Annotated[int, Meta(ge=-_PLACES, le=_PLACES)] = 0


GroupFields = Annotated[list[str], Meta(max_length=MAX_GROUP_FIELDS)]


class MeterCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter to make, and the price that it feeds. Its filter is a tree (`filter`) or a text (`filter_text`)."""

    name: Name
    price_id: Identifier
    filter: FilterShape | UnsetType = UNSET
    filter_text: FilterText | UnsetType = UNSET
    metric: MetricShape
    group_by: GroupFields = []
    units: UnitsShape = UnitsShape()
    reporting_period: ReportingPeriod = ReportingPeriod.FIVE_MINUTES


class MeterChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a meter. It counts so from now on; what it has counted stays.

    Filter, metric and units change only while no open billing period has usage of the meter; `group_by` and
    `reporting_period` only before it has counted anything.
    """

    name: Name | UnsetType = UNSET
    filter: FilterShape | UnsetType = UNSET
    filter_text: FilterText | UnsetType = UNSET
    metric: MetricShape | UnsetType = UNSET
    group_by: GroupFields | UnsetType = UNSET
    units: UnitsShape | UnsetType = UNSET
    reporting_period: ReportingPeriod | UnsetType = UNSET


class MeterView(Struct, frozen=True, kw_only=True):
    """A billing meter: what it counts, the price it feeds, and how long its usage windows are."""

    meter_id: str
    name: str
    price_id: str
    filter: FilterShape
    filter_text: str
    metric: MetricShape
    group_by: list[str]
    units: UnitsShape
    reporting_period: ReportingPeriod


def meter_view(meter: Meter) -> MeterView:
    """Return a meter as it travels."""
    units = meter.units
    return MeterView(
        meter_id=meter.meter_id,
        name=meter.name,
        price_id=meter.price_id,
        filter=filter_shape(meter.filter),
        filter_text=filter_text(meter.filter),
        metric=metric_shape(meter.metric),
        group_by=[path.text for path in meter.group_by],
        units=UnitsShape(multiply=Decimal(plain(units.multiply)), rounding=units.rounding, places=units.places),
        reporting_period=meter.reporting_period,
    )


def to_meter(request: MeterCreate, meter_id: str) -> Meter:
    """Return the meter that is asked for; `InvalidInput` names what cannot be."""
    return Meter(
        meter_id=meter_id,
        name=request.name,
        price_id=request.price_id,
        filter=to_filter(request.filter, request.filter_text),
        metric=to_metric(request.metric),
        reporting_period=request.reporting_period,
        group_by=to_group_by(request.group_by),
        units=to_units(request.units),
    )


def to_metric(shape: MetricShape) -> Metric:
    """Return the metric that is asked for; `InvalidInput` names a field path or an expression that is none."""
    match shape:
        case CountShape(weighted=weighted):
            return Count(weighted=weighted)
        case SumShape(weighted=weighted):
            return Sum(path=_path(shape.field), weighted=weighted)
        case SumOfShape(expression=expression, weighted=weighted):
            return SumOf(expression=parse_expression("metric.expression", expression), weighted=weighted)
        case UniqueShape():
            return Unique(path=_path(shape.field))
        case MinShape():
            return Min(path=_path(shape.field))
        case MaxShape():
            return Max(path=_path(shape.field))
        case AverageShape(weighted=weighted):
            return Average(path=_single("metric.field", shape.field), weighted=weighted)
        case LatestShape():
            return Latest(path=_single("metric.field", shape.field))
        case WeightedSumShape():
            return WeightedSum(path=_single("metric.field", shape.field))
        case _:
            assert_never(shape)


def metric_shape(metric: Metric) -> MetricShape:
    """Return a metric as it travels."""
    match metric:
        case Count(weighted=weighted):
            return CountShape(weighted=weighted)
        case Sum(path=path, weighted=weighted):
            return SumShape(field=path.text, weighted=weighted)
        case SumOf(expression=expression, weighted=weighted):
            return SumOfShape(expression=expression_text(expression), weighted=weighted)
        case Unique(path=path):
            return UniqueShape(field=path.text)
        case Min(path=path):
            return MinShape(field=path.text)
        case Max(path=path):
            return MaxShape(field=path.text)
        case Average(path=path, weighted=weighted):
            return AverageShape(field=path.text, weighted=weighted)
        case Latest(path=path):
            return LatestShape(field=path.text)
        case WeightedSum(path=path):
            return WeightedSumShape(field=path.text)
        case _:
            assert_never(metric)


def _path(text: str) -> FieldPath:
    return parse_field_path("metric.field", text)


def _single(field: str, text: str) -> FieldPath:
    path = parse_field_path(field, text)
    if not path.is_single:
        raise InvalidInput.of(field, f"{text!r} may find several values; a path without [*] is needed here")
    return path


def to_group_by(paths: list[str]) -> tuple[FieldPath, ...]:
    """Return the fields that usage is grouped by; `InvalidInput` names the one that cannot be."""
    return tuple(_single(f"group_by[{index}]", path) for index, path in enumerate(paths))


def to_units(shape: UnitsShape) -> Units:
    """Return the units that are asked for; `InvalidInput` names what cannot be."""
    multiply = bounded("units.multiply", shape.multiply)
    if not multiply > 0:
        raise InvalidInput.of("units.multiply", f"must be above 0, with at most {MAX_QUANTITY_DIGITS} digits")
    units = Units(multiply=multiply, rounding=shape.rounding, places=shape.places)
    return UNCHANGED if units == UNCHANGED else units
