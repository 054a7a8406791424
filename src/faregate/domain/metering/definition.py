"""What a meter counts, as one JSON text: as the database keeps it and as gateways are told.

{"filter": "response.status == 200", "metric": {"type": "sum", "field": "..."}, "group_by": [...], "units": {...}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, assert_never

from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.expression import expression_text, parse_expression
from faregate.domain.metering.filter import Filter
from faregate.domain.metering.filter_text import filter_text, parse_filter
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """Everything of a meter but its names and its reporting period."""

    filter: Filter
    metric: Metric
    group_by: tuple[FieldPath, ...] = ()
    units: Units = UNCHANGED


def write_definition(definition: Definition) -> str:
    """Return the definition as text: equal texts count equally."""
    document: dict[str, object] = {
        "filter": filter_text(definition.filter),
        "metric": metric_document(definition.metric),
    }
    if definition.group_by:
        document["group_by"] = [path.text for path in definition.group_by]
    units = definition.units
    if units != UNCHANGED:
        document["units"] = {"multiply": f"{units.multiply:f}", "rounding": units.rounding, "places": units.places}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def read_definition(text: str) -> Definition:
    """Return what `write_definition` wrote."""
    document: dict[str, Any] = json.loads(text)
    units = document.get("units")
    return Definition(
        filter=parse_filter("filter", document["filter"]),
        metric=read_metric(document["metric"]),
        group_by=tuple(FieldPath(path) for path in document.get("group_by", ())),
        units=UNCHANGED if units is None else _read_units(units),
    )


def metric_document(metric: Metric) -> dict[str, object]:
    """Return the metric as a JSON object."""
    match metric:
        case Count(weighted=weighted):
            return {"type": "count"} | _flag(weighted=weighted)
        case Sum(path=path, weighted=weighted):
            return {"type": "sum", "field": path.text} | _flag(weighted=weighted)
        case SumOf(expression=expression, weighted=weighted):
            return {"type": "sum_of", "expression": expression_text(expression)} | _flag(weighted=weighted)
        case Average(path=path, weighted=weighted):
            return {"type": "average", "field": path.text} | _flag(weighted=weighted)
        case Unique() | Min() | Max() | Latest() | WeightedSum():
            return {"type": _NAMES[type(metric)], "field": metric.path.text}
        case _:
            assert_never(metric)


_OF_A_FIELD: dict[str, type[Unique | Min | Max | Latest | WeightedSum]] = {
    "unique": Unique,
    "min": Min,
    "max": Max,
    "latest": Latest,
    "weighted_sum": WeightedSum,
}
_NAMES: dict[type, str] = {kind: name for name, kind in _OF_A_FIELD.items()}


def _flag(*, weighted: bool) -> dict[str, object]:
    return {"weighted": True} if weighted else {}


def read_metric(document: Mapping[str, Any]) -> Metric:
    """Return what `metric_document` wrote."""
    weighted = bool(document.get("weighted", False))
    match document["type"]:
        case "count":
            return Count(weighted=weighted)
        case "sum":
            return Sum(path=FieldPath(document["field"]), weighted=weighted)
        case "sum_of":
            return SumOf(expression=parse_expression("expression", document["expression"]), weighted=weighted)
        case "average":
            return Average(path=FieldPath(document["field"]), weighted=weighted)
        case kind:
            return _OF_A_FIELD[kind](path=FieldPath(document["field"]))


def _read_units(document: Mapping[str, Any]) -> Units:
    rounding = document["rounding"]
    return Units(
        multiply=Decimal(document["multiply"]),
        rounding=None if rounding is None else UnitRounding(rounding),
        places=document["places"],
    )
