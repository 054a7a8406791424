"""Calendar months, in UTC: the billing periods of a replay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final

from faregate.apps.story.trace import TracedCall, TraceFault
from faregate.base.limits import MAX_CLOCK_AHEAD

_EARLIEST_YEAR: Final = 2000
_DECEMBER: Final = 12
_LONGEST_MONTH: Final = timedelta(days=32)
"""What the clock must still be able to pass after the last call, and a day."""


def month_of(instant: datetime) -> datetime:
    """Return the first instant of the month that holds `instant`."""
    return datetime(instant.year, instant.month, 1, tzinfo=UTC)


def month_after(month: datetime) -> datetime:
    """Return the first instant of the next month."""
    if month.month == _DECEMBER:
        return month.replace(year=month.year + 1, month=1)
    return month.replace(month=month.month + 1)


def by_month(calls: Sequence[TracedCall]) -> list[tuple[datetime, list[TracedCall]]]:
    """Return the calls, which are in order, by their month; months without calls are left out."""
    return [(month, list(group)) for month, group in groupby(calls, key=lambda call: month_of(call.occurred_at))]


def require_replayable(calls: Sequence[TracedCall], *, name: str, now: datetime) -> None:
    """Raise `TraceFault`, which names the first such row, where a call lies outside of what business time can be."""
    latest = now + MAX_CLOCK_AHEAD - _LONGEST_MONTH
    for call in calls:
        if call.occurred_at.year < _EARLIEST_YEAR or call.occurred_at > latest:
            raise TraceFault(
                f"{name}: row {call.row}, TIMESTAMP: must lie from {_EARLIEST_YEAR}-01-01 to {latest:%Y-%m-%d}, "
                f"not at {call.occurred_at:%Y-%m-%d %H:%M:%S}"
            )
