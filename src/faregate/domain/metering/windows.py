"""How long usage windows are: from one minute to a calendar month, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from faregate.base.periods import Period, window_containing


class ReportingPeriod(StrEnum):
    """The length of a usage window. Weeks begin on Monday."""

    ONE_MINUTE = "1m"
    FIVE_MINUTES = "5m"
    FIFTEEN_MINUTES = "15m"
    ONE_HOUR = "1h"
    SIX_HOURS = "6h"
    ONE_DAY = "1d"
    ONE_WEEK = "1w"
    ONE_MONTH = "1mo"


_LENGTHS: Final = {
    ReportingPeriod.ONE_MINUTE: timedelta(minutes=1),
    ReportingPeriod.FIVE_MINUTES: timedelta(minutes=5),
    ReportingPeriod.FIFTEEN_MINUTES: timedelta(minutes=15),
    ReportingPeriod.ONE_HOUR: timedelta(hours=1),
    ReportingPeriod.SIX_HOURS: timedelta(hours=6),
    ReportingPeriod.ONE_DAY: timedelta(days=1),
}
_WEEK: Final = timedelta(days=7)
_THURSDAY: Final = timedelta(days=3)
_DECEMBER: Final = 12


def usage_window(reporting_period: ReportingPeriod, instant: datetime) -> Period:
    """Return the usage window that holds an instant."""
    if reporting_period is ReportingPeriod.ONE_MONTH:
        return _month(instant)
    if reporting_period is ReportingPeriod.ONE_WEEK:
        # The epoch, from which windows are counted, was a Thursday.
        counted = window_containing(instant + _THURSDAY, _WEEK)
        return Period(counted.start - _THURSDAY, counted.end - _THURSDAY)
    return window_containing(instant, _LENGTHS[reporting_period])


def _month(instant: datetime) -> Period:
    year, month = instant.year, instant.month
    following = (year + 1, 1) if month == _DECEMBER else (year, month + 1)
    return Period(datetime(year, month, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC))
