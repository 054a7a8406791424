"""Half-open stretches of time, [start, end), that tile without a gap."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import datetime, timedelta

from faregate.base.clock import EPOCH


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end): `start` belongs to it, `end` to the next one. Both aware, in UTC."""

    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


def window_containing(instant: datetime, length: timedelta) -> Period:
    """Return the window of `length`, counted from the epoch, that holds `instant`."""
    start = EPOCH + (instant - EPOCH) // length * length
    return Period(start, start + length)


def month_containing(anchor: datetime, instant: datetime) -> Period:
    """Return the monthly billing period, anchored at `anchor`, that holds `instant`.

    An anchor on day 29 to 31 falls back to the last day of a shorter month and returns afterwards: January 31,
    February 28, March 31. `instant` must not be before `anchor`'s own period by more than what months can count.
    """
    months = (instant.year - anchor.year) * 12 + instant.month - anchor.month
    if _shift_months(anchor, months) > instant:
        months -= 1
    return Period(_shift_months(anchor, months), _shift_months(anchor, months + 1))


def _shift_months(anchor: datetime, months: int) -> datetime:
    years, month0 = divmod(anchor.month - 1 + months, 12)
    year = anchor.year + years
    last_day = calendar.monthrange(year, month0 + 1)[1]
    return anchor.replace(year=year, month=month0 + 1, day=min(anchor.day, last_day))
