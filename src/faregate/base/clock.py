"""The only source of time. Everything else takes a `Clock` or an instant."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Clock(Protocol):
    """Two readings of time: instants for business facts, a steady count for durations."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""

    def steady_ms(self) -> int:
        """Return milliseconds on a clock that never steps back and counts sleep (boot time)."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall clock's instant in UTC."""
        return datetime.now(UTC)

    def steady_ms(self) -> int:
        """Return boot-time milliseconds where the platform has them, else monotonic ones."""
        return time.clock_gettime_ns(_STEADY_CLOCK) // 1_000_000


def to_microseconds(instant: datetime) -> int:
    """Return whole microseconds since the epoch, exactly; `instant` must be aware."""
    return (instant - EPOCH) // _MICROSECOND


def from_microseconds(microseconds: int) -> datetime:
    """Return the instant that `to_microseconds` gave."""
    return EPOCH + timedelta(microseconds=microseconds)


_STEADY_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
