"""What a hold and its settlement cost in memory, without a network, a disk or an event: 20 microseconds at most.

One account's real pools, two prices, a lease that is never used up. Each sample is one hold and the
settle of what it did not use.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from bench.profiles import Profile
from bench.ranks import percentiles
from faregate.apps.gateway.pools import Account, PriceNeed, Want
from faregate.base.clock import SystemClock
from faregate.wire.gateway_protocol import Lease

_AT: Final = datetime(2026, 3, 10, 12, tzinfo=UTC)
_NEEDS: Final = (
    PriceNeed(price_id="prc_in", per_input=1, per_output=0),
    PriceNeed(price_id="prc_out", per_input=0, per_output=1),
)
_UNITS: Final = 10**12
_DAY_MS: Final = 24 * 60 * 60 * 1_000
_NANOSECONDS_PER_US: Final = 1_000


class HoldCost(Struct, frozen=True, kw_only=True):
    """Microseconds of one hold and its settlement."""

    samples: int
    p50_us: float
    p99_us: float


def measure_hold(profile: Profile) -> HoldCost:
    """Hold and settle, one call after the other."""
    clock = SystemClock()
    account = Account("sub_1")
    account.add([_lease(need.price_id) for need in _NEEDS], asked_at_ms=clock.steady_ms(), now_ms=clock.steady_ms())
    taken_us = []
    for _ in range(profile.hold_samples):
        want = Want(needs=_NEEDS, input=900, output=256, least_output=256, choices=1, occurred_at=_AT)
        started_ns = time.perf_counter_ns()
        hold = account.hold(want, clock.steady_ms(), least=want.output)
        if hold is None:
            raise AssertionError("the lease is never used up")
        hold.settle({"prc_in": 700, "prc_out": 200})
        taken_us.append((time.perf_counter_ns() - started_ns) / _NANOSECONDS_PER_US)
    p50_us, p99_us = percentiles(taken_us, 50, 99)
    return HoldCost(samples=len(taken_us), p50_us=p50_us, p99_us=p99_us)


def _lease(price_id: str) -> Lease:
    return Lease(
        lease_id=f"lse_{price_id}",
        price_id=price_id,
        period_start=_AT - timedelta(days=1),
        period_end=_AT + timedelta(days=1),
        units=_UNITS,
        duration_ms=_DAY_MS,
    )
