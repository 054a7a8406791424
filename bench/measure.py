"""`bench/run`: measures what Faregate costs and how fast it is, in one run on one machine.

Prints one table, and writes it as JSON where `--json` names a file. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench.children import BenchError, end_in_order
from bench.footprint import Footprint, measure_footprint
from bench.intake import CONNECTIONS, Intake, measure_intake
from bench.machine import Machine, read_machine
from bench.profiles import FULL, QUICK, Profile
from bench.readability import Readability, measure_readability
from bench.refusal import Refusals, measure_refusals
from bench.reports import write_json
from bench.throughput import Measured, measure_throughput, require_wrk

PARTS: Final = ("throughput", "intake", "refusal", "readability", "footprint")

_LEAST_WIDTH: Final = 120
"""Of the table, where it goes to a file."""


class Report(Struct, frozen=True, kw_only=True):
    """Everything one run measured; a part that was not asked for is None."""

    machine: Machine
    profile: str
    throughput: list[Measured] | None = None
    intake: Intake | None = None
    refusal: Refusals | None = None
    readability: Readability | None = None
    footprint: Footprint | None = None


def measure(profile: Profile, parts: Sequence[str], show: Callable[[str], None]) -> Report:
    """Measure the parts, one after the other."""
    if "throughput" in parts:
        require_wrk()
    return Report(
        machine=read_machine(),
        profile=profile.name,
        # Memory first: the machine is idle then.
        footprint=measure_footprint(profile, show) if "footprint" in parts else None,
        readability=measure_readability(profile, show) if "readability" in parts else None,
        throughput=measure_throughput(profile, show) if "throughput" in parts else None,
        intake=measure_intake(profile, show) if "intake" in parts else None,
        refusal=measure_refusals(profile, show) if "refusal" in parts else None,
    )


def to_table(report: Report) -> Table:
    """Return the report as one table."""
    table = Table(title=f"{report.machine.title}, {report.profile}", title_justify="left")
    table.add_column("what", no_wrap=True)
    for heading in ("connections", "per second", "p50 ms", "p99 ms", "CPU us each", "control plane us each"):
        table.add_column(heading, justify="right")
    for row in report.throughput or ():
        control = "" if row.control_plane_us_per_request is None else f"{row.control_plane_us_per_request:.0f}"
        table.add_row(
            row.target,
            str(row.connections),
            f"{row.requests_per_s:,.0f}",
            f"{row.p50_ms:.2f}",
            f"{row.p99_ms:.2f}",
            f"{row.cpu_us_per_request:.0f}",
            control,
        )
    for words in _other_rows(report):
        table.add_row(*words)
    return table


def _other_rows(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    if (intake := report.intake) is not None:
        costs = f"{intake.generator_us_per_event:.0f}", f"{intake.control_plane_us_per_event:.0f}"
        rows.append(("d: intake, events of 1 KB", str(CONNECTIONS), f"{intake.events_per_s:,.0f}", "", "", *costs))
        rows.append((f"   metered {intake.metered_after_s:.2f} s after; lost {intake.lost}, twice {intake.twice}",))
    if (refusal := report.refusal) is not None:
        first = refusal.first_refusal
        rows.append(("e: exhausting answer to first refusal", "1", "", f"{first.p50_ms:.2f}", f"{first.p99_ms:.2f}"))
    if (readability := report.readability) is not None:
        read = readability.readable
        rows.append(("f: answer to readable figures", "1", "", f"{read.p50_ms:.2f}", f"{read.p99_ms:.2f}"))
    if (footprint := report.footprint) is not None:
        rows.append((f"g: faregate up: ready in {footprint.ready_s:.2f} s, {footprint.pss_mb:.0f} MB PSS",))
    return rows


def main() -> int:
    """Run; return the exit status: 0, or 2 where something that is needed is missing or failed."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument(
        "--quick", action="store_true", help="fewer and shorter runs of the same code, as CI takes them"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="measure these parts alone")
    arguments = parser.parse_args()
    end_in_order()
    console = Console(stderr=True)
    try:
        with console.status("starting") as status:
            report = measure(QUICK if arguments.quick else FULL, arguments.only, status.update)
    except BenchError as error:
        print(f"bench/run: {error}", file=sys.stderr)
        return 2
    Console(width=max(Console().width, _LEAST_WIDTH)).print(to_table(report))
    write_json(arguments.json, report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
