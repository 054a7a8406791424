"""Half-open stretches of time, [start, end), that tile without a gap.

A *calendar* of borders is counted from an anchor on the wall clock of a time zone: a month that begins at midnight in
New York does so in summer too, and the day on which clocks change has 23 or 25 hours. The zone is passed in as a
`tzinfo`.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from fractions import Fraction
from typing import Final, assert_never

from faregate.base.clock import EPOCH

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end): `start` belongs to it, `end` to the next one. Both aware, in UTC."""

    start: datetime
    end: datetime

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


@dataclass(frozen=True, slots=True)
class Span:
    """[start, end), or everything from `start` on where there is no end. Both aware, in UTC."""

    start: datetime
    end: datetime | None = None

    def touches(self, period: Period) -> bool:
        """Return whether the span and the period have an instant in common."""
        return self.start < period.end and (self.end is None or period.start < self.end)


class CadenceUnit(StrEnum):
    """What a cadence counts."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """How long a period is: `count` units, 1 or more."""

    unit: CadenceUnit
    count: int = 1


MONTHLY: Final = Cadence(unit=CadenceUnit.MONTH)


class Alignment(StrEnum):
    """Whether periods begin on the anchor's own day and hour, or with the calendar's days, weeks and months."""

    ANNIVERSARY = "anniversary"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodCalendar:
    """The borders of periods. `anchor` is one of them under `ANNIVERSARY`; `CALENDAR` takes only the zone's calendar.

    An anchor on day 29 to 31 falls back to the last day of a shorter month and returns afterwards: January 31,
    February 28, March 31. A wall-clock hour that a day does not have is read as if clocks had not changed; of one that
    it has twice, the first.
    """

    anchor: datetime
    cadence: Cadence = MONTHLY
    zone: tzinfo = UTC
    alignment: Alignment = Alignment.ANNIVERSARY

    def border(self, index: int) -> datetime:
        """Return the border that lies `index` cadences after the first one, in UTC."""
        return _to_utc(_shifted(self._first(), self.cadence, index), self.zone)

    def period_containing(self, instant: datetime) -> Period:
        """Return the period that holds an instant, before the anchor too."""
        index = self._index(instant)
        return Period(self.border(index), self.border(index + 1))

    def borders_passed(self, start: datetime, until: datetime) -> int:
        """Return how many borders lie in (start, until]: the cycles that ended meanwhile."""
        return self._index(until) - self._index(start)

    def _first(self) -> datetime:
        """Return the border with index 0, on the wall clock."""
        match self.alignment:
            case Alignment.ANNIVERSARY:
                return self.anchor.astimezone(self.zone).replace(tzinfo=None)
            case Alignment.CALENDAR:
                # 1970 began with a year, a quarter and a month; its first Monday was the 5th.
                day = 5 if self.cadence.unit is CadenceUnit.WEEK else 1
                return datetime(1970, 1, day)  # noqa: DTZ001 - the zone's wall clock
            case _:
                assert_never(self.alignment)

    def _index(self, instant: datetime) -> int:
        first, wall = self._first(), instant.astimezone(self.zone).replace(tzinfo=None)
        months, days = _step(self.cadence)
        if months:
            index = ((wall.year - first.year) * 12 + wall.month - first.month) // months
        else:
            index = (wall - first) // timedelta(days=days)
        # The estimate errs by one where the day or the hour of the month decides, and around a change of clocks.
        while self.border(index) > instant:
            index -= 1
        while self.border(index + 1) <= instant:
            index += 1
        return index


def window_containing(instant: datetime, length: timedelta) -> Period:
    """Return the window of `length`, counted from the epoch, that holds `instant`."""
    start = EPOCH + (instant - EPOCH) // length * length
    return Period(start, start + length)


def day_containing(instant: datetime, zone: tzinfo) -> Period:
    """Return the calendar day of a zone that holds `instant`: 23, 24 or 25 hours, seldom another length."""
    return PeriodCalendar(
        anchor=EPOCH, cadence=Cadence(unit=CadenceUnit.DAY), zone=zone, alignment=Alignment.CALENDAR
    ).period_containing(instant)


def days_between(start: datetime, end: datetime, zone: tzinfo) -> int:
    """Return the days between the dates of two instants in the zone, whatever the hours; one that was left out too."""
    return (end.astimezone(zone).date() - start.astimezone(zone).date()).days


def days_begun(start: datetime, end: datetime, zone: tzinfo) -> int:
    """Return the days, each as long as the zone's wall clock says, that [start, end] has begun; `end` counts."""
    wall_start, wall_end = (instant.astimezone(zone).replace(tzinfo=None) for instant in (start, end))
    return (wall_end - wall_start) // _DAY + 1


def share_of(period: Period, part: Period) -> Fraction:
    """Return which share of a period, by whole seconds, lies in `part`; both half-open."""
    start, end = max(period.start, part.start), min(period.end, part.end)
    if start >= end:
        return Fraction(0)
    return Fraction((end - start) // _SECOND, (period.end - period.start) // _SECOND)


def cycles_in(period: Period, borders: PeriodCalendar) -> Fraction:
    """Return how many cycles a period that ends on a border takes: whole ones, and the first one's part."""
    cycles, border = 0, period.end
    while True:
        cycle = borders.period_containing(border - _SECOND)
        if cycle.start <= period.start:
            return cycles + share_of(cycle, period)
        cycles, border = cycles + 1, cycle.start


def _step(cadence: Cadence) -> tuple[int, int]:
    """Return a cadence as months and days; one of them is 0."""
    match cadence.unit:
        case CadenceUnit.DAY:
            return 0, cadence.count
        case CadenceUnit.WEEK:
            return 0, 7 * cadence.count
        case CadenceUnit.MONTH:
            return cadence.count, 0
        case CadenceUnit.QUARTER:
            return 3 * cadence.count, 0
        case CadenceUnit.YEAR:
            return 12 * cadence.count, 0
        case _:
            assert_never(cadence.unit)


def _shifted(wall: datetime, cadence: Cadence, times: int) -> datetime:
    months, days = _step(cadence)
    if days:
        return wall + timedelta(days=days * times)
    years, month0 = divmod(wall.month - 1 + months * times, 12)
    year = wall.year + years
    last_day = calendar.monthrange(year, month0 + 1)[1]
    return wall.replace(year=year, month=month0 + 1, day=min(wall.day, last_day))


def _to_utc(wall: datetime, zone: tzinfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
