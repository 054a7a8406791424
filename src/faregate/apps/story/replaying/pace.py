"""When each call of a trace is sent: as fast as it goes, or in the trace's own rhythm, some times faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from faregate.apps.story.trace import TracedCall
from faregate.base.errors import InvalidInput

LONGEST_WAIT_S: Final = 60.0
"""A longer pause between two calls is cut to this."""

FASTEST: Final = "max"
_MOST_SPEED: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """`factor` times as fast as the trace; None: without waiting."""

    factor: int | None

    def __str__(self) -> str:
        return FASTEST if self.factor is None else str(self.factor)


def parse_speed(text: str) -> Speed:
    """Return the speed that is asked for; `InvalidInput` on `speed` if it is none."""
    if text == FASTEST:
        return Speed(factor=None)
    if text.isascii() and text.isdecimal() and len(text) <= len(str(_MOST_SPEED)) and 1 <= int(text) <= _MOST_SPEED:
        return Speed(factor=int(text))
    raise InvalidInput.of("speed", f"must be 'max' or a whole number from 1 to {_MOST_SPEED}, not {text!r}")


def due_times(calls: Sequence[TracedCall], speed: Speed) -> Iterator[float]:
    """Yield for each call, in order, the seconds after the first one's at which it is due; all 0 without waiting."""
    due_s = 0.0
    earlier = None
    for call in calls:
        if speed.factor is not None and earlier is not None:
            gap_s = (call.occurred_at - earlier.occurred_at).total_seconds() / speed.factor
            due_s += min(gap_s, LONGEST_WAIT_S)
        earlier = call
        yield due_s
