"""A billing meter: filter + metric + the price it feeds + reporting period."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from faregate.base.limits import MAX_GROUP_VALUE_CHARACTERS
from faregate.base.money import EXACT
from faregate.domain.metering.aggregate import Aggregate
from faregate.domain.metering.definition import Definition
from faregate.domain.metering.event import Event, FieldPath, compile_field, scalar_text
from faregate.domain.metering.filter import Filter, conditions_of
from faregate.domain.metering.matching import MatcherFactory, compile_filter
from faregate.domain.metering.metric import (
    Count,
    Metric,
    Sum,
    SumOf,
    Unmeterable,
    compile_quantity,
    compile_state,
    paths_of,
)
from faregate.domain.metering.units import UNCHANGED, Units
from faregate.domain.metering.windows import ReportingPeriod

GroupKey = tuple[str, ...]
"""The values of the fields that usage is grouped by; `()` where it is not grouped."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter, unique by name within the application. Usage is kept in windows of `reporting_period`."""

    meter_id: str
    name: str
    price_id: str
    filter: Filter
    metric: Metric
    reporting_period: ReportingPeriod
    group_by: tuple[FieldPath, ...] = ()
    units: Units = UNCHANGED

    @property
    def definition(self) -> Definition:
        """Return what the meter counts."""
        return Definition(filter=self.filter, metric=self.metric, group_by=self.group_by, units=self.units)

    @property
    def is_additive(self) -> bool:
        """Return whether what events count for adds up to the total, so that no state is needed beside it."""
        return isinstance(self.metric, Count | Sum | SumOf) and self.units.rounding is None


@dataclass(frozen=True, slots=True)
class Counted:
    """What one event counts for: `amount` is its units of an additive meter, else the state of that event alone."""

    amount: Decimal | Aggregate
    group: GroupKey = ()


CompiledMeter = Callable[[Event], Decimal | Aggregate | Unmeterable | None]
"""An event's units, or its state for a meter that is not additive; `Unmeterable` where it matched without one; None
where it did not match."""


def compile_meter(meter: Meter, matchers: MatcherFactory) -> CompiledMeter:
    """Return the meter as one function of events whose fields are dictionaries."""
    return compile_meter_for(meter, matchers, compile_field)


def compile_meter_for(
    meter: Meter, matchers: MatcherFactory, reading: Callable[[FieldPath], Callable[..., object]]
) -> CompiledMeter:
    """Return the meter as one function of events whose fields `reading` reads. A blocked event matches no meter."""
    matches = compile_filter(meter.filter, matchers, reading)
    measure = _compile_measure(meter, reading)

    def read(event: Event) -> Decimal | Aggregate | Unmeterable | None:
        if event.blocked_by is not None or not matches(event.fields):
            return None
        return measure(event)

    return read


def compile_group(
    meter: Meter, reading: Callable[[FieldPath], Callable[..., object]] = compile_field
) -> Callable[[Event], GroupKey]:
    """Return a function from an event to the group it belongs to; a missing or null field has the value ''."""
    readers = [reading(path) for path in meter.group_by]
    if not readers:
        return lambda _: ()
    return lambda event: tuple(_group_value(read(event.fields)) for read in readers)


def fields_of_meter(meter: Meter) -> set[FieldPath]:
    """Return every path that the meter reads."""
    return {condition.path for condition in conditions_of(meter.filter)} | {*paths_of(meter.metric), *meter.group_by}


def summed_field(meter: Meter) -> str | None:
    """Return the field whose plain sum the meter is, each event counted once and in its own units; None for others."""
    metric = meter.metric
    plain = isinstance(metric, Sum) and not metric.weighted and metric.path.is_single and meter.units == UNCHANGED
    return metric.path.text if isinstance(metric, Sum) and plain else None


def _compile_measure(
    meter: Meter, reading: Callable[[FieldPath], Callable[..., object]]
) -> Callable[[Event], Decimal | Aggregate | Unmeterable]:
    metric = meter.metric
    if meter.is_additive and isinstance(metric, Count | Sum | SumOf):
        quantity, multiply = compile_quantity(metric, reading), meter.units.multiply
        if multiply == 1:
            return lambda event: quantity(event.fields, event.weight)
        return lambda event: _multiplied(quantity(event.fields, event.weight), multiply)
    state = compile_state(metric, reading)
    return lambda event: state(event.fields, event)


def _multiplied(quantity: Decimal | Unmeterable, multiply: Decimal) -> Decimal | Unmeterable:
    return quantity if isinstance(quantity, Unmeterable) else EXACT.multiply(quantity, multiply)


def _group_value(value: object) -> str:
    text = scalar_text(value)
    if isinstance(text, bool):
        return "true" if text else "false"
    return (text or "")[:MAX_GROUP_VALUE_CHARACTERS]
