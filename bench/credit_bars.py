"""Bars about credit that several gateways share: what a hold costs, and how soon all of them hear of a change."""

from __future__ import annotations

from collections.abc import Iterator

from bench.bar import Row, Run
from bench.block_latency import GATEWAYS, measure_block_latency
from bench.hold import measure_hold
from bench.ranks import Spread


def hold_hold(run: Run) -> Iterator[Row]:
    """Time holds in memory."""
    found = measure_hold(run.profile)
    yield Row(
        bar="a hold and its settlement, in memory, p99",
        measured=f"{found.p99_us:.1f} us (p50 {found.p50_us:.1f} us, {found.samples:,} holds)",
        limit=f"under {run.limits.most_hold_p99_us:g} us",
        held=found.p99_us < run.limits.most_hold_p99_us,
        command=run.command("hold"),
    )


def hold_block_latency(run: Run) -> Iterator[Row]:
    """Watch a fleet hear of blocks and unblocks."""
    found = measure_block_latency(run.profile, run.show)
    yield _latency_row(run, "from the last settle", found.from_settle)
    kinds = ", ".join(f"{kind} {taken.p99_ms:g}" for kind, taken in found.by_change.items())
    yield _latency_row(run, "from the sending of a grant, rule or payment", found.from_commit, more=f"; p99: {kinds}")


def _latency_row(run: Run, since: str, found: Spread, *, more: str = "") -> Row:
    most_ms = run.limits.most_block_p99_ms
    return Row(
        bar=f"{GATEWAYS} gateways decide by it, {since}, p99",
        measured=f"{found.p99_ms} ms (p50 {found.p50_ms} ms, max {found.max_ms} ms, {found.samples} changes){more}",
        limit=f"under {most_ms:g} ms",
        held=found.p99_ms < most_ms,
        command=run.command("block-latency"),
    )
