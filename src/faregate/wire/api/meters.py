"""Billing meters on the wire."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from faregate.base.limits import MAX_CONDITIONS
from faregate.domain.metering.event import parse_field_path
from faregate.domain.metering.filter import Filter, Is
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.metric import Metric, Sum
from faregate.wire.api.common import Identifier, Name

ConditionText = Annotated[str, Meta(max_length=1_000, pattern="^[^\\x00]*$")]


class ReportingPeriod(StrEnum):
    """How long a usage window is: each divides a day."""

    ONE_MINUTE = "1m"
    FIVE_MINUTES = "5m"
    FIFTEEN_MINUTES = "15m"
    ONE_HOUR = "1h"
    ONE_DAY = "1d"


_LENGTHS: Final = {
    ReportingPeriod.ONE_MINUTE: timedelta(minutes=1),
    ReportingPeriod.FIVE_MINUTES: timedelta(minutes=5),
    ReportingPeriod.FIFTEEN_MINUTES: timedelta(minutes=15),
    ReportingPeriod.ONE_HOUR: timedelta(hours=1),
    ReportingPeriod.ONE_DAY: timedelta(days=1),
}


class ConditionShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event's field is the value. A number equals its numeral: 200 and "200" are the same status."""

    field: str
    value: ConditionText | int | bool
    operator: Literal["is"] = "is"


class FilterShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All conditions must hold; without any, every event matches."""

    all: Annotated[list[ConditionShape], Meta(max_length=MAX_CONDITIONS)] = field(default_factory=list)


class SumShape(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="sum"):
    """The sum of a numeric field over the events that match."""

    field: str


class MeterCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A meter to make, and the price that it feeds."""

    name: Name
    price_id: Identifier
    filter: FilterShape
    metric: SumShape
    reporting_period: ReportingPeriod = ReportingPeriod.FIVE_MINUTES


class MeterChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a meter. It counts so from now on; what it has counted stays."""

    name: Name | UnsetType = UNSET
    filter: FilterShape | UnsetType = UNSET
    metric: SumShape | UnsetType = UNSET


class MeterView(Struct, frozen=True, kw_only=True):
    """A billing meter: filter, metric, the price it feeds, and how long its usage windows are."""

    meter_id: str
    name: str
    price_id: str
    filter: FilterShape
    metric: SumShape
    reporting_period: ReportingPeriod


def meter_view(meter: Meter) -> MeterView:
    """Return a meter as it travels."""
    return MeterView(
        meter_id=meter.meter_id,
        name=meter.name,
        price_id=meter.price_id,
        filter=FilterShape(
            all=[
                ConditionShape(field=condition.path.text, value=condition.value)
                for condition in meter.filter.conditions
            ]
        ),
        metric=SumShape(field=meter.metric.path.text),
        reporting_period=next(name for name, length in _LENGTHS.items() if length == meter.reporting_period),
    )


def to_meter(request: MeterCreate, meter_id: str) -> Meter:
    """Return the meter that is asked for; `InvalidInput` names a field path that is none."""
    return Meter(
        meter_id=meter_id,
        name=request.name,
        price_id=request.price_id,
        filter=to_filter(request.filter),
        metric=to_metric(request.metric),
        reporting_period=_LENGTHS[request.reporting_period],
    )


def to_filter(shape: FilterShape) -> Filter:
    """Return the filter that is asked for; `InvalidInput` names a field path that is none."""
    return Filter(
        conditions=tuple(
            Is(path=parse_field_path(f"filter.all[{index}].field", condition.field), value=condition.value)
            for index, condition in enumerate(shape.all)
        )
    )


def to_metric(shape: SumShape) -> Metric:
    """Return the metric that is asked for; `InvalidInput` names a field path that is none."""
    return Sum(path=parse_field_path("metric.field", shape.field))
