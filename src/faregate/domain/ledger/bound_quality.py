"""How good the bounds are that calls are held by: what was held against what was used, added up.

The ratio of each call goes into a histogram of fixed steps, so that sums merge in any order and take the same room
however many calls there are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

STEPS: Final = 20
"""Steps of 5 % up to all that was held; one more is for calls that used more than was held."""

STEP_PERCENT: Final = 100 // STEPS


@dataclass(slots=True, kw_only=True)
class BoundQuality:
    """Held calls of one route and price.

    `overshoots`: calls that used more than was held. `clamped`: calls whose output was limited below what they asked
    for. `estimated`: calls whose usage the upstream did not say. `by_step[i]`: calls that used over 5 i % and up to
    5 (i + 1) % of what was held, nothing at all counting as the first; the last step is for overshoots.
    """

    calls: int = 0
    held: int = 0
    used: int = 0
    overshoots: int = 0
    clamped: int = 0
    estimated: int = 0
    by_step: list[int] = field(default_factory=lambda: [0] * (STEPS + 1))

    def add(self, held: int, used: int, *, clamped: bool, estimated: bool) -> None:
        """Count a call."""
        self.calls += 1
        self.held += held
        self.used += used
        if clamped:
            self.clamped += 1
        if estimated:
            self.estimated += 1
        if used > held:
            self.overshoots += 1
            self.by_step[STEPS] += 1
        elif used:
            self.by_step[(STEPS * used - 1) // held] += 1
        else:
            self.by_step[0] += 1

    def merge(self, other: BoundQuality) -> None:
        """Add what others counted."""
        self.calls += other.calls
        self.held += other.held
        self.used += other.used
        self.overshoots += other.overshoots
        self.clamped += other.clamped
        self.estimated += other.estimated
        self.by_step = [own + more for own, more in zip(self.by_step, other.by_step, strict=True)]

    def percent_used(self, percent_of_calls: int) -> int | None:
        """Return how much of what was held so many calls used at most, in whole steps of percent.

        None without calls, and where it is more than was held.
        """
        needed = -(-self.calls * percent_of_calls // 100)
        seen = 0
        for step, count in enumerate(self.by_step[:STEPS], start=1):
            seen += count
            if seen and seen >= needed:
                return step * STEP_PERCENT
        return None
