"""How long and how often each thing is measured: in full, and quickly for CI (the same code, fewer samples)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Counts and durations of one run of `bench/run`."""

    name: str
    rounds: int
    run_s: int
    connections: tuple[int, ...]
    intake_s: float
    refusals: int
    readable_samples: int
    block_samples: int
    hold_samples: int
    idle_s: float
    stream_s: int


FULL: Final = Profile(
    name="full",
    rounds=5,
    run_s=5,
    connections=(1, 64, 256),
    intake_s=25.0,
    refusals=200,
    readable_samples=300,
    block_samples=150,
    hold_samples=200_000,
    idle_s=60.0,
    stream_s=10,
)
QUICK: Final = Profile(
    name="quick",
    rounds=3,
    run_s=1,
    connections=(1, 64),
    intake_s=4.0,
    refusals=20,
    readable_samples=60,
    block_samples=10,
    hold_samples=20_000,
    idle_s=5.0,
    stream_s=3,
)
