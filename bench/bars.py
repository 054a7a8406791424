"""`bench/bars`: holds Faregate to its bars, one after the other; exit status 1 where one does not hold.

In full it takes about forty minutes, on a machine that does nothing else. `--quick` runs the same code with smaller
counts, and with wider limits for what is a speed: see bench/limits.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench import limits, profiles
from bench.aborts.trial import run_aborts
from bench.bad_input import run_bad_input
from bench.bar import Row, Run
from bench.children import BenchError, end_in_order
from bench.credit_bars import hold_block_latency, hold_hold
from bench.dying import hold_crash, hold_failpoints, hold_overspend
from bench.footprint import measure_footprint
from bench.half_load import measure_half_load
from bench.intake import measure_intake
from bench.machine import Machine, read_machine
from bench.overdue import hold_overdue
from bench.parallel_calls import AFFORDABLE, CALLS, run_parallel_calls
from bench.provider_bars import hold_reporter, hold_year
from bench.readability import measure_readability
from bench.reports import write_json
from bench.stack import clean_environment
from bench.streaming import measure_streaming
from bench.throughput import BARE, GATEWAY, find, measure_throughput
from bench.traces import Replay, Sum, replay, write_trace

_ROOT: Final = Path(__file__).parent.parent
_WALKTHROUGH: Final = "tests/e2e/test_walkthrough.py"
_WALKTHROUGH_WITHIN_S: Final = 600
_CONNECTIONS: Final = 64
_LEAST_WIDTH: Final = 140


class Verdict(Struct, frozen=True, kw_only=True):
    """All bars of a run."""

    machine: Machine
    profile: str
    held: bool
    bars: list[Row]


def hold_walkthrough(run: Run) -> Iterator[Row]:
    """Compare the walkthrough's amounts with docs/walkthrough.md, as read from the page."""
    run.show("the walkthrough's amounts")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", _WALKTHROUGH]
    done = subprocess.run(
        command,
        cwd=_ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_WALKTHROUGH_WITHIN_S,
    )
    lines = (done.stdout.strip() or done.stderr.strip()).splitlines()
    yield Row(
        bar="the walkthrough's amounts, to the last digit",
        measured=lines[-1] if lines else f"pytest ended with status {done.returncode}",
        limit="equal to docs/walkthrough.md",
        held=done.returncode == 0,
        command=f"pytest {_WALKTHROUGH}",
    )


def hold_replay(run: Run) -> Iterator[Row]:
    """Replay the traces given, and one that is made here."""
    for trace in run.traces:
        run.show(f"replay of {trace.name}")
        yield _replay_row(replay(trace), f"bench/bars --only replay --trace {trace}")
    with tempfile.TemporaryDirectory(prefix="faregate-bench-") as folder:
        made = Path(folder) / f"made-{run.limits.trace_rows}-{run.seed}.csv"
        write_trace(made, run.limits.trace_rows, seed=run.seed)
        run.show(f"replay of {made.name}")
        yield _replay_row(replay(made), f"{run.command('replay')} --seed {run.seed}")


def hold_throughput(run: Run) -> Iterator[Row]:
    """Compare the gateway with the bare pass-through."""
    measured = measure_throughput(run.profile, run.show)
    bare, gateway = (find(measured, target, _CONNECTIONS) for target in (BARE, GATEWAY))
    cpu_ratio = gateway.cpu_us_per_request / bare.cpu_us_per_request
    rate_ratio = gateway.requests_per_s / bare.requests_per_s
    added_ms = find(measured, GATEWAY, 1).p50_ms - find(measured, BARE, 1).p50_ms
    command = run.command("throughput")
    yield Row(
        bar="CPU a request, gateway against bare pass-through, 64 connections",
        measured=f"{cpu_ratio:.2f} x ({gateway.cpu_us_per_request:.0f} us, {bare.cpu_us_per_request:.0f} us)",
        limit=f"at most {run.limits.most_cpu_ratio} x",
        held=cpu_ratio <= run.limits.most_cpu_ratio,
        command=command,
    )
    yield Row(
        bar="requests a second, gateway against bare pass-through, 64 connections",
        measured=f"{rate_ratio:.2f} x ({gateway.requests_per_s:,.0f}, {bare.requests_per_s:,.0f})",
        limit=f"at least {run.limits.least_rate_ratio} x",
        held=rate_ratio >= run.limits.least_rate_ratio,
        command=command,
    )
    yield Row(
        bar="time added to a request, p50, 1 connection",
        measured=f"{added_ms:.3f} ms",
        limit=f"at most {run.limits.most_added_p50_ms} ms",
        held=added_ms <= run.limits.most_added_p50_ms,
        command=command,
    )


def hold_half_load(run: Run) -> Iterator[Row]:
    """Compare how long requests take at half of the gateway's highest rate."""
    found = measure_half_load(run.profile, run.show)
    yield Row(
        bar="p99 at half load, gateway against bare pass-through, 64 connections",
        measured=f"{found.p99_ratio:.2f} x ({found.gateway_p99_ms:.2f} ms, {found.bare_p99_ms:.2f} ms; "
        f"{found.rate_per_s:,.0f}/s)",
        limit=f"at most {run.limits.most_half_load_p99_ratio:g} x",
        held=found.p99_ratio <= run.limits.most_half_load_p99_ratio,
        command=run.command("half-load"),
    )


def hold_streaming(run: Run) -> Iterator[Row]:
    """Compare the gateway's streams with the bare pass-through's."""
    found = measure_streaming(run.profile, run.show)
    bare, gateway = found.bare, found.gateway
    what = f"{found.streams} streams of {found.chunks_per_s} chunks/s, gateway against bare pass-through"
    command = run.command("streaming")
    for percentile, added_ms, limit_ms, (gateway_ms, bare_ms) in (
        ("p99", found.added_p99_ms, run.limits.most_added_stream_p99_ms, (gateway.p99_ms, bare.p99_ms)),
        ("max", found.added_max_ms, run.limits.most_added_stream_max_ms, (gateway.delay.max_ms, bare.delay.max_ms)),
    ):
        yield Row(
            bar=f"{what}: a chunk's delay behind it, {percentile}",
            measured=f"{added_ms:.2f} ms ({gateway_ms:.2f} ms, {bare_ms:.2f} ms)",
            limit=f"under {limit_ms:g} ms",
            held=added_ms < limit_ms,
            command=command,
        )
    yield Row(
        bar=f"{what}: CPU a chunk",
        measured=f"{found.cpu_ratio:.2f} x ({gateway.cpu_us_per_chunk:.0f} us, {bare.cpu_us_per_chunk:.0f} us)",
        limit=f"at most {run.limits.most_stream_cpu_ratio} x",
        held=found.cpu_ratio <= run.limits.most_stream_cpu_ratio,
        command=command,
    )


def hold_footprint(run: Run) -> Iterator[Row]:
    """Weigh and time `faregate up`."""
    found = measure_footprint(run.profile, run.show)
    command = run.command("footprint")
    yield Row(
        bar="memory of faregate up, idle, sum of PSS",
        measured=f"{found.pss_mb} MB after {found.idle_s:g} s",
        limit=f"under {run.limits.most_pss_mb:g} MB",
        held=found.pss_mb < run.limits.most_pss_mb,
        command=command,
    )
    yield Row(
        bar="faregate up is ready, first start",
        measured=f"{found.ready_s} s",
        limit=f"under {run.limits.most_ready_s:g} s",
        held=found.ready_s < run.limits.most_ready_s,
        command=command,
    )


def hold_intake(run: Run) -> Iterator[Row]:
    """Load the collector."""
    found = measure_intake(run.profile, run.show)
    exact = found.lost == found.twice == found.tokens_off == 0
    least_per_s, most_after_s = run.limits.least_intake_per_s, run.limits.most_metered_after_s
    yield Row(
        bar="intake of 1 KB events in batches of 100, durable, metered",
        measured=(
            f"{found.events_per_s:,.0f}/s for {found.load_s:.0f} s, metered {found.metered_after_s:.2f} s later; "
            f"{found.lost} lost, {found.twice} twice, {found.tokens_off} tokens off"
        ),
        limit=f"at least {least_per_s:,.0f}/s, within {most_after_s:g} s; none, none, 0",
        held=exact and found.events_per_s >= least_per_s and found.metered_after_s <= most_after_s,
        command=run.command("intake"),
    )


def hold_parallel(run: Run) -> Iterator[Row]:
    """Make fifty calls at once against a balance for ten."""
    for found in run_parallel_calls(show=run.show):
        yield Row(
            bar=f"{CALLS} parallel calls against a balance for {AFFORDABLE}: {found.variant}",
            measured=f"{found.answered}, balance {found.balance}, reserved {found.reserved}",
            limit=f"{AFFORDABLE} x 200, {CALLS - AFFORDABLE} x 402, balance 0",
            held=found.held,
            command=run.command("parallel"),
        )


def hold_aborts(run: Run) -> Iterator[Row]:
    """Break streams off at each event's border and one byte around it, from both sides."""
    for found in run_aborts(every=run.limits.abort_every, show=run.show):
        faults = "".join(f"; {fault}" for fault in found.faults[:5])
        yield Row(
            bar=f"streams that break off, {found.speech}",
            measured=f"{found.cases} cases, {found.estimated} of them estimated, {len(found.faults)} faults{faults}",
            limit="each billed by the policy, once",
            held=bool(found.cases) and not found.faults,
            command=run.command("aborts"),
        )


def hold_bad_input(run: Run) -> Iterator[Row]:
    """Send what cannot be taken."""
    for found in run_bad_input(run.show):
        yield Row(
            bar=f"bad input: {found.name}",
            measured="; ".join(found.faults) or f"{found.status}, names {', '.join(found.fields)}",
            limit="a problem document that names the field; nothing stored",
            held=not found.faults,
            command=run.command("bad-input"),
        )


def hold_readability(run: Run) -> Iterator[Row]:
    """Read a call's figures after its end."""
    found = measure_readability(run.profile, run.show).readable
    yield Row(
        bar="usage, charge and balance readable after the answer's end, p99",
        measured=f"{found.p99_ms} ms (p50 {found.p50_ms} ms, {found.samples} calls)",
        limit=f"at most {run.limits.most_readable_p99_ms:g} ms",
        held=found.p99_ms <= run.limits.most_readable_p99_ms,
        command=run.command("readability"),
    )


BARS: Final[dict[str, Callable[[Run], Iterator[Row]]]] = {
    "footprint": hold_footprint,
    "readability": hold_readability,
    "block-latency": hold_block_latency,
    "overdue": hold_overdue,
    "hold": hold_hold,
    "throughput": hold_throughput,
    "half-load": hold_half_load,
    "streaming": hold_streaming,
    "intake": hold_intake,
    "reporter": hold_reporter,
    "year": hold_year,
    "walkthrough": hold_walkthrough,
    "parallel": hold_parallel,
    "aborts": hold_aborts,
    "bad-input": hold_bad_input,
    "crash": hold_crash,
    "failpoints": hold_failpoints,
    "overspend": hold_overspend,
    "replay": hold_replay,
}
"""In the order in which they run: what an idle machine is best for comes first."""


def hold_all(run: Run, names: Sequence[str]) -> Verdict:
    """Hold every named bar; one that cannot be run is one that does not hold."""
    machine, rows = read_machine(), []
    for name in (name for name in BARS if name in names):
        try:
            rows += list(BARS[name](run))
        except (BenchError, OSError, subprocess.SubprocessError) as error:
            measured = f"could not be run: {error}"
            rows.append(Row(bar=name, measured=measured, limit="runs", held=False, command=run.command(name)))
    return Verdict(machine=machine, profile=run.limits.name, held=all(row.held for row in rows), bars=rows)


def to_table(verdict: Verdict) -> Table:
    """Return the bars as a table."""
    table = Table(title=f"{verdict.machine.title}, {verdict.profile}", title_justify="left")
    for heading in ("bar", "measured", "limit", "held"):
        table.add_column(heading)
    for row in verdict.bars:
        table.add_row(row.bar, row.measured, row.limit, "yes" if row.held else "NO", style="" if row.held else "red")
    return table


def _replay_row(found: Replay, command: str) -> Row:
    expected, books = found.expected, found.found
    if books is None:
        measured = found.words or "no record"
    else:
        calls, tokens_in = books.calls - expected.calls, books.tokens_in - expected.tokens_in
        off = f"{calls} calls, {tokens_in} in, {books.tokens_out - expected.tokens_out} out"
        measured = f"{_words(books)}; off by {off}; {found.failed} failed; {found.calls_per_s:,.0f} calls/s"
    return Row(
        bar=f"replay of {found.trace}",
        measured=measured,
        limit=f"{_words(expected)}; 0 failed",
        held=found.held,
        command=command,
    )


def _words(found: Sum) -> str:
    return f"{found.calls:,} calls, {found.tokens_in:,} in, {found.tokens_out:,} out, ${found.money}"


def main() -> int:
    """Run; return the exit status: 0, or 1 where a bar does not hold."""
    parser = argparse.ArgumentParser(prog="bench/bars", description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the bars")
    parser.add_argument("--quick", action="store_true", help="smaller counts, wider limits for speeds: for CI")
    parser.add_argument("--only", nargs="+", choices=list(BARS), default=list(BARS), help="hold these bars alone")
    parser.add_argument("--trace", type=Path, action="append", default=[], help="a trace to replay; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of kills and of the trace that is made")
    arguments = parser.parse_args()
    end_in_order()
    with Console(stderr=True).status("starting") as status:
        run = Run(
            limits=limits.QUICK if arguments.quick else limits.FULL,
            profile=profiles.QUICK if arguments.quick else profiles.FULL,
            traces=[trace.resolve() for trace in arguments.trace],
            seed=arguments.seed,
            show=status.update,
        )
        verdict = hold_all(run, arguments.only)
    Console(width=max(Console().width, _LEAST_WIDTH)).print(to_table(verdict))
    write_json(arguments.json, verdict)
    return 0 if verdict.held else 1


if __name__ == "__main__":
    sys.exit(main())
