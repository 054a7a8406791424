"""A bar: how it is run, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from bench import limits
from bench.limits import Limits
from bench.profiles import Profile


class Row(Struct, frozen=True, kw_only=True):
    """One bar: what was measured, what it was held to, and the command that repeats it alone."""

    bar: str
    measured: str
    limit: str
    held: bool
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a bar is told: sizes and limits, how long to measure, traces to replay, and where to say what it does."""

    limits: Limits
    profile: Profile
    traces: Sequence[Path]
    seed: int
    show: Callable[[str], None]

    def command(self, bar: str) -> str:
        """Return the command that runs one bar alone."""
        quick = " --quick" if self.limits is limits.QUICK else ""
        return f"bench/bars{quick} --only {bar}"
