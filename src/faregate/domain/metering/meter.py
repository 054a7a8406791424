"""A billing meter: filter + metric + the price it feeds + reporting period."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from faregate.domain.metering.event import Event
from faregate.domain.metering.filter import Filter, compile_filter
from faregate.domain.metering.metric import Metric, Unmeterable, compile_metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter, unique by name within the application. Usage is kept in windows of `reporting_period`."""

    meter_id: str
    name: str
    price_id: str
    filter: Filter
    metric: Metric
    reporting_period: timedelta


CompiledMeter = Callable[[Event], Decimal | Unmeterable | None]
"""An event's quantity; `Unmeterable` where it matched without one; None where it did not match."""


def compile_meter(meter: Meter) -> CompiledMeter:
    """Return the meter as one function. An event that a rule blocked matches no meter."""
    matches = compile_filter(meter.filter)
    measure = compile_metric(meter.metric)

    def read(event: Event) -> Decimal | Unmeterable | None:
        if event.blocked_by is not None or not matches(event.fields):
            return None
        return measure(event.fields)

    return read
