"""The test of a meter on 1,000,000 kept events of 1 KB: when the first samples come, and when the exact totals.

    python -m bench.meter_trial [--events N] [--json FILE]

Through the service that the API calls, on a SQLite file; totals are compared with what was written.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from msgspec import Struct
from sqlalchemy import insert

from bench.machine import Machine, read_machine
from bench.metering import make_event
from bench.reports import write_json
from faregate.services.meter_trial import MeterTrial, read_draft
from faregate.storage import tables
from faregate.storage.database import Database
from faregate.wire.api.meter_trials import MeterDraft, MeterTest
from faregate.wire.api.meters import SumShape

EVENTS: Final = 1_000_000
FIRST_SAMPLES_WITHIN_S: Final = 0.5
TOTALS_WITHIN_S: Final = 12.0

_APPLICATION: Final = "app_1"
_START: Final = datetime(2026, 3, 1, tzinfo=UTC)
_BATCH: Final = 10_000
_ROUTES: Final = 10
_TRIED: Final = 3
_COMPANIES: Final = 97


class Report(Struct, frozen=True, kw_only=True):
    """Seconds from the call on; `exact`: whether the totals are those of the events that were written."""

    machine: Machine
    events: int
    first_samples_s: float
    totals_s: float
    cpu_s: float
    progress_lines: int
    exact: bool
    holds: bool


def measure(events: int) -> Report:
    """Write the events, then try a draft that matches a tenth of them."""
    with (
        tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder,
        closing(Database(f"sqlite:///{Path(folder) / 'kept.sqlite3'}")) as database,
    ):
        expected = _fill(database, events)
        started_s, cpu_before_s = time.perf_counter(), time.process_time()
        first_s, lines = 0.0, 0
        with database.snapshot() as transaction:
            trial = MeterTrial(transaction, read_draft(transaction, _APPLICATION, _request()))
        more = True
        while more:
            with database.snapshot() as transaction:
                more = trial.step(transaction)
            lines += 1
            if not first_s and trial.samples.matched:
                first_s = time.perf_counter() - started_s
        result = trial.result()
        totals_s, cpu_s = time.perf_counter() - started_s, time.process_time() - cpu_before_s
    exact = sum(Decimal(total.quantity) for total in result.totals) == expected
    return Report(
        machine=read_machine(),
        events=events,
        first_samples_s=round(first_s, 3),
        totals_s=round(totals_s, 2),
        cpu_s=round(cpu_s, 2),
        progress_lines=lines,
        exact=exact,
        holds=exact and 0 < first_s <= FIRST_SAMPLES_WITHIN_S and totals_s <= TOTALS_WITHIN_S,
    )


def _request() -> MeterTest:
    return MeterTest(
        meter=MeterDraft(
            filter_text='request.route == "/ai/route-3" and response.status == 200',
            metric=SumShape(field="response.body.usage.prompt_tokens"),
        ),
        from_at=_START,
        to_at=_START + timedelta(days=31),
    )


def _fill(database: Database, events: int) -> Decimal:
    """Write admitted events over a month; return the sum that the draft must come to."""
    expected = 0
    step = timedelta(days=30) / events
    with database.begin() as transaction:
        tables.metadata.create_all(transaction)
    for first in range(0, events, _BATCH):
        numbers = range(first, min(first + _BATCH, events))
        expected += sum(number % 997 for number in numbers if number % _ROUTES == _TRIED)
        with database.begin() as transaction:
            transaction.execute(
                insert(tables.event_log),
                [
                    {
                        "position": number + 1,
                        "application_id": _APPLICATION,
                        "ingested_at": _START,
                        "body": make_event(number, number % _ROUTES),
                    }
                    for number in numbers
                ],
            )
            transaction.execute(
                insert(tables.admitted_event),
                [
                    {
                        "position": number + 1,
                        "application_id": _APPLICATION,
                        "company_id": f"company-{number % _COMPANIES}",
                        "occurred_at": _START + number * step,
                    }
                    for number in numbers
                ],
            )
    return Decimal(expected)


def main() -> int:
    """Run; the exit status is 0 only if both bars hold and the totals are exact."""
    parser = argparse.ArgumentParser(prog="bench.meter_trial", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="how many events to keep")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    report = measure(arguments.events)
    print(
        f"{report.events:,} kept events: first samples after {report.first_samples_s} s, exact totals after "
        f"{report.totals_s} s, {report.cpu_s} s of CPU ({report.progress_lines} lines of progress); "
        f"{'exact' if report.exact else 'WRONG'}; bars {'hold' if report.holds else 'are missed'}"
    )
    write_json(arguments.json, report)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
