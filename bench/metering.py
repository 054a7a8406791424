"""Metering: how many events of 1 KB a core measures, decoding included, storage not.

    python -m bench.metering [--json FILE]

20 meters on 10 routes and 200 meters on 100 routes; of each, two match every event. One process, one core.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from bench.machine import Machine, read_machine
from bench.reports import write_json
from faregate.base.money import EXACT
from faregate.domain.metering.dispatch import MeterTable
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.filter_text import parse_filter
from faregate.domain.metering.meter import Meter, fields_of_meter
from faregate.domain.metering.metric import Sum
from faregate.domain.metering.windows import ReportingPeriod
from faregate.wire.metered_fields import MeteredFields
from faregate.wire.patterns import compile_pattern

EVENT_BYTES: Final = 1_024
EVENTS: Final = 20_000
ROUNDS: Final = 5
LEAST_PER_SECOND: Final = 50_000
MOST_GROWTH: Final = 2.0
"""Bars: events a second with 20 meters, and how many times as long an event may take with 200."""


class Measured(Struct, frozen=True, kw_only=True):
    """The best round's rate; `counted` is how many quantities came of the events."""

    meters: int
    routes: int
    events_per_s: float
    us_per_event: float
    counted: int


class Report(Struct, frozen=True, kw_only=True):
    """Both cases and whether the bars hold."""

    machine: Machine
    cases: list[Measured]
    growth: float
    holds: bool


def make_meters(count: int) -> list[Meter]:
    """Return meters in pairs, a pair a route."""
    return [
        Meter(
            meter_id=f"mtr_{number:03d}",
            name=f"Meter {number}",
            price_id="prc_1",
            filter=parse_filter("filter", _FILTERS[number % 2].format(route=f"/ai/route-{number // 2}")),
            metric=Sum(path=FieldPath(f"response.body.usage.{_FIELDS[number % 2]}")),
            reporting_period=ReportingPeriod.FIVE_MINUTES,
        )
        for number in range(count)
    ]


_FIELDS: Final = ("prompt_tokens", "completion_tokens")
_FILTERS: Final = (
    'request.route == "{route}" and response.status == 200',
    'request.route == "{route}" and response.status == 200 and request.body.model in ["small", "large"]',
)


def make_events(routes: int) -> list[bytes]:
    """Return events of EVENT_BYTES, spread over the routes."""
    return [make_event(number, number % routes) for number in range(EVENTS)]


def make_event(number: int, route: int) -> bytes:
    """Return an event of EVENT_BYTES."""
    document: dict[str, Any] = {
        "transaction_id": f"call-{number:09d}",
        "company_id": f"company-{number % 97}",
        "user_id": f"user-{number % 997}",
        "request": {
            "time": "2026-03-10T12:00:00.250Z",
            "uri": f"https://api.example.com/ai/route-{route}",
            "route": f"/ai/route-{route}",
            "verb": "POST",
            "headers": {"content-type": "application/json", "user-agent": "bench", "x-padding": ""},
            "body": {"model": "small", "messages": [{"role": "user", "content": "Where does the old road lead?"}]},
        },
        "response": {
            "time": "2026-03-10T12:00:01.250Z",
            "status": 200,
            "headers": {"content-type": "application/json"},
            "body": {
                "id": f"chatcmpl-{number}",
                "model": "small",
                "usage": {"prompt_tokens": number % 997, "completion_tokens": number % 89, "total_tokens": 0},
            },
        },
    }
    padding = EVENT_BYTES - len(msgspec.json.encode(document))
    document["request"]["headers"]["x-padding"] = "x" * padding
    return msgspec.json.encode(document)


def measure(meters: list[Meter]) -> Measured:
    """Meter all events a few times; keep the best round."""
    routes = len(meters) // 2
    fields = MeteredFields(itertools.chain.from_iterable(fields_of_meter(meter) for meter in meters))
    table = MeterTable(meters, compile_pattern, fields.reading)
    events = make_events(routes)
    best_s, counted = float("inf"), 0
    for _ in range(ROUNDS):
        gc.collect()
        started_s = time.perf_counter()
        counted = _meter(events, fields, table)
        best_s = min(best_s, time.perf_counter() - started_s)
    return Measured(
        meters=len(meters),
        routes=routes,
        events_per_s=round(len(events) / best_s),
        us_per_event=round(best_s / len(events) * 1_000_000, 2),
        counted=counted,
    )


def _meter(events: list[bytes], fields: MeteredFields, table: MeterTable) -> int:
    totals: dict[tuple[str, str | None], Decimal] = {}
    counted = 0
    for raw in events:
        event = fields.event(raw, None)
        for counting in table.count(event):
            if isinstance(counting.amount, Decimal):
                key = counting.meter.meter_id, event.company_id
                totals[key] = EXACT.add(totals.get(key, Decimal(0)), counting.amount)
                counted += 1
    return counted


def main() -> int:
    """Run; the exit status is 0 only if both bars hold."""
    parser = argparse.ArgumentParser(prog="bench.metering", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    cases = [measure(make_meters(20)), measure(make_meters(200))]
    growth = round(cases[1].us_per_event / cases[0].us_per_event, 2)
    holds = cases[0].events_per_s >= LEAST_PER_SECOND and growth <= MOST_GROWTH
    for case in cases:
        print(
            f"{case.meters} meters on {case.routes} routes: {case.events_per_s:,.0f} events/s, "
            f"{case.us_per_event} us each, {case.counted} quantities of {EVENTS} events"
        )
    print(f"200 meters cost {growth} x 20 meters; bars {'hold' if holds else 'are missed'}")
    if arguments.json is not None:
        write_json(arguments.json, Report(machine=read_machine(), cases=cases, growth=growth, holds=holds))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
