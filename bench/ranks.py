"""Percentiles by the nearest rank, and medians, of what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection

from msgspec import Struct


class Spread(Struct, frozen=True, kw_only=True):
    """Milliseconds within which half and 99 of a hundred ended, and the longest."""

    samples: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def spread(measured_ms: Collection[float]) -> Spread:
    """Return the percentiles of at least one measurement."""
    ranked = sorted(measured_ms)
    p50, p99 = (ranked[math.ceil(len(ranked) * share / 100) - 1] for share in (50, 99))
    return Spread(samples=len(ranked), p50_ms=round(p50, 3), p99_ms=round(p99, 3), max_ms=round(ranked[-1], 3))


def median(values: Collection[float]) -> float:
    """Return the median, to three places."""
    return round(statistics.median(values), 3)
