"""The usage of one company, 12 months by day, 10 meters, with 10,000,000 usage windows stored.

    python -m bench.usage_query [--windows N] [--json FILE]

Through the service that the API calls, JSON encoding included, on a SQLite file. Windows of 50 other companies fill the
table; days are what metering would have kept of them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import text

from bench.machine import Machine, read_machine
from bench.reports import write_json
from faregate.base.clock import to_microseconds
from faregate.base.limits import MAX_USAGE_ROWS
from faregate.services.usage_readings import UsageQuery, read_usage
from faregate.storage.database import Database
from faregate.storage.readings import Selection
from faregate.storage.tables import metadata
from faregate.wire.api.readings import Granularity

WINDOWS: Final = 10_000_000
WITHIN_MS: Final = 50.0
METERS: Final = 10
DAYS: Final = 365
RUNS: Final = 21

_START: Final = datetime(2025, 3, 1, tzinfo=UTC)
_COMPANIES: Final = 50
_TRIED: Final = "company-25"
_WINDOW_US: Final = 300_000_000
_DAY_US: Final = 86_400_000_000
_BATCH: Final = 100_000


class Report(Struct, frozen=True, kw_only=True):
    """`rows`: days in the answer. The first query runs on a cold connection."""

    machine: Machine
    windows: int
    rows: int
    first_ms: float
    median_ms: float
    worst_ms: float
    holds: bool


def measure(windows: int) -> Report:
    """Fill the tables, then ask the same question a few times."""
    with (
        tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder,
        closing(Database(f"sqlite:///{Path(folder) / 'usage.sqlite3'}")) as database,
    ):
        _fill(database, windows)
        taken = [_ask(database) for _ in range(RUNS)]
    times_ms = [time_ms for time_ms, _ in taken]
    rows = taken[0][1]
    return Report(
        machine=read_machine(),
        windows=windows,
        rows=rows,
        first_ms=round(times_ms[0], 1),
        median_ms=round(statistics.median(times_ms), 1),
        worst_ms=round(max(times_ms[1:]), 1),
        holds=rows == DAYS * METERS and statistics.median(times_ms) <= WITHIN_MS,
    )


def _ask(database: Database) -> tuple[float, int]:
    selection = Selection(
        application_id="app_1", company_id=_TRIED, from_at=_START, to_at=_START + timedelta(days=DAYS)
    )
    query = UsageQuery(selection=selection, granularity=Granularity.DAY)
    started_s = time.perf_counter()
    with database.snapshot() as transaction:
        page = read_usage(transaction, query, cursor=None, limit=MAX_USAGE_ROWS)
    msgspec.json.encode(page)
    return (time.perf_counter() - started_s) * 1_000, len(page.data)


def _fill(database: Database, windows: int) -> None:
    """Write windows in key order, spread over companies, meters and the year, and every company's days."""
    each = windows // (_COMPANIES * METERS)
    with database.begin() as transaction:
        metadata.create_all(transaction)
    start_us = to_microseconds(_START)
    step_us = DAYS * _DAY_US // each // _WINDOW_US * _WINDOW_US
    window = text(
        "INSERT INTO usage_window VALUES ('app_1', :company, :meter, 'sub', :at, '', :end, :start, '12', NULL, '12', 3,"
        " '12', 1, 0)"
    )
    day = text("INSERT INTO usage_day VALUES ('app_1', :company, :meter, :at, '', :end, '3456', NULL, 864)")
    for company in range(_COMPANIES):
        with database.begin() as transaction:
            for meter in range(METERS):
                own = {"company": f"company-{company:02d}", "meter": f"mtr_{meter}", "start": start_us}
                starts = range(start_us, start_us + each * step_us, step_us)
                for first in range(0, each, _BATCH):
                    rows = [own | {"at": at, "end": at + _WINDOW_US} for at in starts[first : first + _BATCH]]
                    transaction.execute(window, rows)
                days = [start_us + number * _DAY_US for number in range(DAYS)]
                transaction.execute(day, [own | {"at": at, "end": at + _DAY_US} for at in days])


def main() -> int:
    """Run; the exit status is 0 only if the bar holds."""
    parser = argparse.ArgumentParser(prog="bench.usage_query", description=__doc__)
    parser.add_argument("--windows", type=int, default=WINDOWS, help="how many windows to store")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    report = measure(arguments.windows)
    print(
        f"{report.rows} days of one company with {report.windows:,} windows stored: first {report.first_ms} ms, "
        f"median {report.median_ms} ms, worst later {report.worst_ms} ms; "
        f"bar {'holds' if report.holds else 'is missed'}"
    )
    write_json(arguments.json, report)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
