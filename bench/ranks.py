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
    p50, p99, longest = (round(found, 3) for found in percentiles(measured_ms, 50, 99, 100))
    return Spread(samples=len(measured_ms), p50_ms=p50, p99_ms=p99, max_ms=longest)


def percentiles(measured: Collection[float], *shares: int) -> list[float]:
    """Return percentiles, `shares` of a hundred, of at least one measurement."""
    ranked = sorted(measured)
    return [ranked[math.ceil(len(ranked) * share / 100) - 1] for share in shares]


def median(values: Collection[float]) -> float:
    """Return the median, to three places."""
    return round(statistics.median(values), 3)
