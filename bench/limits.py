"""The bars: what is held, and to which limit, in full and in the quick run.

A promise (amounts, counts, what is billed or refused) has one limit. A speed has a wider one in the quick run, which CI
takes on a machine that it shares, with few samples: there it finds what broke, not what became a little slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes and limits of one run of `bench/bars`. Times in the unit of their name; `abort_every`: one of so many."""

    name: str
    trace_rows: int
    crash_rounds: int
    failpoint_seeds: int
    abort_every: int
    least_spent_part: float
    most_wrong_part: float
    most_cpu_ratio: float
    least_rate_ratio: float
    most_added_p50_ms: float
    most_half_load_p99_ratio: float
    most_pss_mb: float
    most_ready_s: float
    least_intake_per_s: float
    least_reports_per_s: float
    most_metered_after_s: float
    most_readable_p99_ms: float
    most_block_p99_ms: float
    most_hold_p99_us: float
    most_added_stream_p99_ms: float
    most_added_stream_max_ms: float
    most_stream_cpu_ratio: float


FULL: Final = Limits(
    name="full",
    trace_rows=5_000,
    crash_rounds=20,
    failpoint_seeds=5,
    abort_every=1,
    least_spent_part=0.99,
    most_wrong_part=0.001,
    most_cpu_ratio=1.4,
    least_rate_ratio=0.7,
    most_added_p50_ms=0.25,
    most_half_load_p99_ratio=2.0,
    most_pss_mb=300.0,
    most_ready_s=5.0,
    least_intake_per_s=15_000.0,
    least_reports_per_s=500.0,
    most_metered_after_s=5.0,
    most_readable_p99_ms=100.0,
    most_block_p99_ms=50.0,
    most_hold_p99_us=20.0,
    most_added_stream_p99_ms=10.0,
    most_added_stream_max_ms=100.0,
    most_stream_cpu_ratio=1.5,
)

QUICK: Final = Limits(
    name="quick",
    trace_rows=300,
    crash_rounds=3,
    failpoint_seeds=1,
    abort_every=9,
    least_spent_part=0.99,
    # A few hundred refusals, on a machine where two seconds of waiting are soon over.
    most_wrong_part=0.02,
    # Rounds of one second, three of them, on cores that others use too.
    most_cpu_ratio=2.5,
    least_rate_ratio=0.35,
    most_added_p50_ms=3.0,
    most_half_load_p99_ratio=10.0,
    # Memory does not depend on what else runs.
    most_pss_mb=300.0,
    most_ready_s=20.0,
    least_intake_per_s=2_000.0,
    least_reports_per_s=250.0,
    most_metered_after_s=20.0,
    most_readable_p99_ms=2_000.0,
    most_block_p99_ms=2_000.0,
    most_hold_p99_us=200.0,
    most_added_stream_p99_ms=100.0,
    most_added_stream_max_ms=1_000.0,
    most_stream_cpu_ratio=2.5,
)
