"""Metering, and what the billing provider is told, in the words of billing_cases.json."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any, Final
from zoneinfo import ZoneInfo

from faregate.base.periods import Period
from faregate.domain.billing.provider_usage import is_reportable, whole_units_to_report
from faregate.domain.metering.aggregate import Aggregate, merge, value_of
from faregate.domain.metering.event import Event, FieldPath, compile_field
from faregate.domain.metering.metric import (
    Average,
    Count,
    Latest,
    Max,
    Metric,
    Min,
    Sum,
    Unique,
    Unmeterable,
    WeightedSum,
    compile_state,
)
from faregate.domain.metering.units import UnitRounding, round_units
from faregate.domain.pricing.proration import share_of_days
from faregate.wire.dialects.openai_chat_usage import read_chat_answer
from tests.domain.case_time import instant

Input = Mapping[str, Any]
Answer = dict[str, Any]

NOW: Final = datetime(2024, 3, 15, 12, tzinfo=UTC)
FIELD: Final = FieldPath("metadata.value")
_METRICS: Final[Mapping[str, Metric]] = {
    "count": Count(),
    "sum": Sum(path=FIELD),
    "min": Min(path=FIELD),
    "max": Max(path=FIELD),
    "average": Average(path=FIELD),
    "latest": Latest(path=FIELD),
    "unique": Unique(path=FIELD),
    "weighted_sum": WeightedSum(path=FIELD),
}
_ROUNDINGS: Final = {
    "round": UnitRounding.NEAREST,
    "ceil": UnitRounding.UP,
    "floor": UnitRounding.DOWN,
}


def aggregate(given: Input) -> Answer:
    """What some values come to, each an event of its own, merged one by one."""
    metric = _METRICS[given["aggregation"]]
    measure = compile_state(metric, compile_field)
    start, end = given.get("period", ("2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z"))
    period = Period(instant(start), instant(end))
    states: list[Aggregate] = []
    for at, value in _values(given):
        event = Event(
            occurred_at=at, company_id="acme", user_id=None, blocked_by=None, fields={"metadata": {"value": value}}
        )
        state = measure(event.fields, event)
        assert not isinstance(state, Unmeterable), state
        states.append(state)
    if not states:
        return {"value": Decimal(0)}
    return {"value": value_of(reduce(merge, states), period)}


def _values(given: Input) -> list[tuple[datetime, Any]]:
    if "by_customer_id" in given:
        return [(NOW, value) for value in (*given["by_customer_id"], *given["by_external_id"])]
    rows = given.get("values") or given.get("deltas") or ()
    return [(_when(row[0]), _number(row[1])) if isinstance(row, list) else (NOW, _number(row)) for row in rows]


def _number(value: object) -> object:
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return value


def _when(text: str) -> datetime:
    return instant(text) if text[0].isdigit() else NOW - _age(text.removeprefix("-"))


def _age(text: str) -> timedelta:
    sign = -1 if text.startswith("-") else 1
    names = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
    return sign * timedelta(**{names[text[-1]]: int(text.removeprefix("-")[:-1])})


def prorated_presence(given: Input) -> Answer:
    """A unit that comes and goes within a day was there on that day, once."""
    start = datetime(2023, 8, 1, tzinfo=UTC)
    period = Period(start, start + timedelta(days=int(given["period_days"])))
    spans = [
        Period(start + timedelta(days=4, hours=hour), start + timedelta(days=4, hours=hour + 1)) for hour in (2, 9, 20)
    ]
    share = share_of_days(period, spans, ZoneInfo("UTC"))
    return {"value": share}


def round_value(given: Input) -> Answer:
    places = given.get("precision")
    rounded = round_units(Decimal(given["units"]), _ROUNDINGS[given["function"]], 0 if places is None else int(places))
    return {"units": rounded}


def aborted_stream(given: Input) -> Answer:
    """What the gateway's event says of a stream that its caller dropped."""
    answer = {} if given.get("usage") is None else {"usage": given["usage"]}
    estimate = int(given.get("prompt_tokens_estimate", 0))
    record, estimated = read_chat_answer(json.dumps(answer).encode(), input_estimate=estimate, most_output=None)
    usage = record.usage or {}
    billed = sum(int(str(usage[name])) for name in ("prompt_tokens", "completion_tokens"))
    must = "record a row: drain upstream to the usage chunk, or bill an estimate; never 0 silently"
    return {
        "billed_tokens": billed,
        "must": must if estimated and billed else None,
        "estimated": estimated,
    }


def report_in_time(given: Input) -> Answer:
    return {"accepted": [is_reportable(NOW - _age(age), NOW) for age in given["ages"]]}


def report_whole_units(given: Input) -> Answer:
    """The provider hears whole units; what is left of a unit is told with the usage that completes it."""
    total, reported = Decimal(0), 0
    for _ in range(4):
        total += Decimal(given["aggregate"])
        reported += whole_units_to_report(total, reported)
    kept = total - reported
    return {
        "must": "scale the unit or carry the remainder; never drop 0.75" if 0 <= kept < 1 else None,
        "reported": whole_units_to_report(Decimal(given["aggregate"]), 0),
    }
