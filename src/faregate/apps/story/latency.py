"""How long calls took: percentiles of what was measured, by the nearest rank."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Milliseconds within which half, 95 and 99 of a hundred ended."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


def percentiles(measured_ms: Collection[float]) -> Percentiles | None:
    """Return the percentiles by the nearest rank, None where nothing was measured."""
    if not measured_ms:
        return None
    ranked = sorted(measured_ms)
    p50, p95, p99 = (ranked[ceil(len(ranked) * share / 100) - 1] for share in (50, 95, 99))
    return Percentiles(p50_ms=p50, p95_ms=p95, p99_ms=p99)
