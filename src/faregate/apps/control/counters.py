"""What the process counts since its start: plain numbers, only touched in the event loop."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Counters:
    """Rendered at `/metrics` by `metrics.py`."""

    events_accepted: Counter[str] = field(default_factory=Counter)
    """By the way they came: `collector`, `gateway`."""
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By what was asked (first part of the path) and status."""
    lease_answers: Counter[str] = field(default_factory=Counter)
    """`granted`, `returned`, or why not."""
    ticks_failed: int = 0
