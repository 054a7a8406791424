"""Margins of 1,000,000 events: how long keeping them takes an event, and how fast a report of a month answers.

    python -m bench.margin [--events N] [--json FILE]

Through the services that the control plane calls, JSON encoding included, on a SQLite file: 200 companies with 3 keys
each, 5 models with a cost price each, 2 routes, 30 days, and one charge for each event.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import randrange
from typing import Any, Final

import msgspec
from msgspec import Struct
from sqlalchemy import text

from bench.machine import Machine, read_machine
from bench.reports import to_json, write_json
from faregate.base.clock import to_microseconds
from faregate.base.money import currency
from faregate.domain.costing.cost import CostPrice, Rate
from faregate.domain.metering.event import FieldPath
from faregate.domain.metering.filter import Is
from faregate.domain.metering.metric import Sum
from faregate.services.keep_margins import MarginKeeper
from faregate.services.margins import MarginQuery, read_margin_report
from faregate.storage.costs import insert_cost
from faregate.storage.database import Database
from faregate.storage.margins import start_margins
from faregate.storage.tables import metadata
from faregate.wire.api.costs import MarginBy

EVENTS: Final = 1_000_000
WITHIN_MS: Final = 500.0
"""A report of a month, by any of its dimensions."""
RUNS: Final = 7

_START: Final = datetime(2026, 3, 1, tzinfo=UTC)
_DAYS: Final = 30
_COMPANIES: Final = 200
_KEYS: Final = 3
_MODELS: Final = 5
_BATCH: Final = 20_000


class Report(Struct, frozen=True, kw_only=True):
    """What an event takes to keep, and the median report by dimension: in time, and in the process's own CPU time."""

    machine: Machine
    events: int
    keep_us: float
    keep_cpu_us: float
    longest_slice_ms: float
    rows_kept: int
    report_ms: dict[str, float]
    report_cpu_ms: dict[str, float]
    holds: bool


def measure(events: int) -> Report:
    """Fill the log, keep margins of it, and ask for each report a few times."""
    with (
        tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder,
        closing(Database(f"sqlite:///{Path(folder) / 'margin.sqlite3'}")) as database,
    ):
        _fill(database, events)
        cpu_s = time.process_time()
        slices_s = list(_keep(database))
        cpu_s = time.process_time() - cpu_s
        reports = {by.value: _ask(database, by, events) for by in MarginBy}
        with database.snapshot() as transaction:
            rows_kept = transaction.execute(text("SELECT count(*) FROM margin_day")).scalar_one()
    return Report(
        machine=read_machine(),
        events=events,
        keep_us=round(sum(slices_s) / events * 1e6, 1),
        keep_cpu_us=round(cpu_s / events * 1e6, 1),
        longest_slice_ms=round(max(slices_s) * 1e3, 1),
        rows_kept=rows_kept,
        report_ms={by: taken[0] for by, taken in reports.items()},
        report_cpu_ms={by: taken[1] for by, taken in reports.items()},
        holds=max(taken[0] for taken in reports.values()) <= WITHIN_MS,
    )


def _keep(database: Database) -> Iterator[float]:
    keeper, more = MarginKeeper(), True
    while more:
        started_s = time.perf_counter()
        with database.begin() as transaction:
            more = keeper.keep_next(transaction)
        yield time.perf_counter() - started_s


def _ask(database: Database, by: MarginBy, events: int) -> tuple[float, float]:
    query = MarginQuery(application_id="app_1", from_at=_START, to_at=_START + timedelta(days=_DAYS), by=by)
    taken_ms, cpu_ms = [], []
    for _ in range(RUNS):
        started_s, cpu_s = time.perf_counter(), time.process_time()
        with database.snapshot() as transaction:
            report = read_margin_report(transaction, query, cursor=None, limit=1_000)
        msgspec.json.encode(report)
        taken_ms.append((time.perf_counter() - started_s) * 1e3)
        cpu_ms.append((time.process_time() - cpu_s) * 1e3)
        if sum(row.events for row in report.data) != events:
            raise AssertionError(by)
    return round(statistics.median(taken_ms), 1), round(statistics.median(cpu_ms), 1)


def _fill(database: Database, events: int) -> None:
    with database.begin() as transaction:
        metadata.create_all(transaction)
        for model in range(_MODELS):
            insert_cost(transaction, "app_1", _cost(model), created_at=_START)
        start_margins(transaction)
        columns = "subscription_id, application_id, company_id, plan_id, pays, currency, started_at, payment_terms_s"
        rows = [{"id": f"sub-{company}", "company": f"company-{company}"} for company in range(_COMPANIES)]
        transaction.execute(
            text(
                f"INSERT INTO subscription ({columns}, billed_until, created_at)"  # noqa: S608 - names of ours
                " VALUES (:id, 'app_1', :company, 'pln', 'postpaid', 'USD', 0, 0, 0, 0)"
            ),
            rows,
        )
    for first in range(1, events + 1, _BATCH):
        rows = [_event(position, events) for position in range(first, min(first + _BATCH, events + 1))]
        with database.begin() as transaction:
            for statement in (
                "INSERT INTO event_log VALUES (:position, 'app_1', 0, :body)",
                "INSERT INTO admitted_event VALUES (:position, 'app_1', :company, :at)",
                (
                    "INSERT INTO charge VALUES"
                    " (:position, 'mtr', 'app_1', :company, :subscription, 'prc', :at, '9', 20, 1)"
                ),
            ):
                transaction.execute(text(statement), rows)


def _event(position: int, events: int) -> dict[str, Any]:
    company, key, model = (randrange(most) for most in (_COMPANIES, _KEYS, _MODELS))  # noqa: S311 - load
    at_us = to_microseconds(_START) + position * (_DAYS * 86_400_000_000 - 1) // events
    body = {
        "request": {"time": _START, "uri": "http://gateway/ai/chat", "verb": "POST", "route": f"/ai/{position % 2}"},
        "response": {
            "status": 200,
            "body": {
                "id": f"chatcmpl-{position}",
                "model": f"model-{model}",
                "usage": {"prompt_tokens": position % 5_000, "completion_tokens": 300, "total_tokens": 9_000},
            },
        },
        "company_id": f"company-{company}",
        "faregate": {"gateway_id": "gtw_1", "key_id": f"key_{company}_{key}", "request_id": f"req_{position}"},
    }
    return {
        "position": position,
        "at": at_us,
        "company": f"company-{company}",
        "subscription": f"sub-{company}",
        "body": msgspec.json.encode(body),
    }


def _cost(model: int) -> CostPrice:
    usage = "response.body.usage"
    kinds = {"input": ("prompt_tokens", "0.15"), "output": ("completion_tokens", "0.60")}
    return CostPrice(
        cost_id=f"cst_{model}",
        name=f"model-{model}",
        currency=currency("USD"),
        filter=Is(path=FieldPath("response.body.model"), value=f"model-{model}"),
        rates=tuple(
            Rate(kind=kind, metric=Sum(path=FieldPath(f"{usage}.{field}")), amount=Decimal(amount), per=1_000_000)
            for kind, (field, amount) in kinds.items()
        ),
        effective_at=_START,
    )


def main() -> int:
    """Run; the exit status is 0 only if the bar holds."""
    parser = argparse.ArgumentParser(prog="bench.margin", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="how many events to keep")
    parser.add_argument("--json", type=Path, help="where to write the report")
    options = parser.parse_args()
    report = measure(options.events)
    write_json(options.json, report)
    print(to_json(report))
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
