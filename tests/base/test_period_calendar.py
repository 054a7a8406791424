from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.periods import (
    Alignment,
    Cadence,
    CadenceUnit,
    Period,
    PeriodCalendar,
    cycles_in,
    day_containing,
    days_begun,
    days_between,
    share_of,
)

MICROSECOND = timedelta(microseconds=1)
# Apia skipped a whole day, Lord Howe's clocks change by half an hour, Kathmandu is 5:45 ahead.
ZONES = ["UTC", "America/New_York", "Europe/Paris", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]

zones = st.sampled_from(ZONES).map(ZoneInfo)
instants = st.datetimes(datetime(1995, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - zone beside
calendars = st.builds(
    PeriodCalendar,
    anchor=instants,
    cadence=st.builds(Cadence, unit=st.sampled_from(CadenceUnit), count=st.integers(1, 13)),
    zone=zones,
    alignment=st.sampled_from(Alignment),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(calendars, instants)
def test_periods_tile_time_in_every_calendar(calendar: PeriodCalendar, instant: datetime) -> None:
    period = calendar.period_containing(instant)
    assert instant in period
    assert period.start < period.end
    assert calendar.period_containing(period.start) == period
    assert calendar.period_containing(period.end - MICROSECOND) == period
    assert calendar.period_containing(period.end).start == period.end
    assert calendar.period_containing(period.start - MICROSECOND).end == period.start


@given(calendars, instants, instants)
def test_borders_passed_are_counted_once_each(calendar: PeriodCalendar, one: datetime, other: datetime) -> None:
    start, until = sorted((one, other))
    middle = start + (until - start) / 2
    parts = calendar.borders_passed(start, middle) + calendar.borders_passed(middle, until)
    assert calendar.borders_passed(start, until) == parts >= 0


@given(calendars)
def test_the_anchor_begins_a_period_of_an_anniversary_calendar(calendar: PeriodCalendar) -> None:
    if calendar.alignment is Alignment.ANNIVERSARY:
        # The second of two equal hours is read as the first one.
        start = calendar.period_containing(calendar.anchor).start
        assert calendar.anchor - timedelta(hours=1) <= start <= calendar.anchor


@given(instants, zones)
def test_a_calendar_day_holds_the_instants_of_its_date(instant: datetime, zone: ZoneInfo) -> None:
    day = day_containing(instant, zone)
    assert day.start.astimezone(zone).date() == instant.astimezone(zone).date()
    assert (day.end - MICROSECOND).astimezone(zone).date() == instant.astimezone(zone).date()


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        (CadenceUnit.DAY, "2026-08-19", "2026-08-20"),
        (CadenceUnit.WEEK, "2026-08-17", "2026-08-24"),
        (CadenceUnit.MONTH, "2026-08-01", "2026-09-01"),
        (CadenceUnit.QUARTER, "2026-07-01", "2026-10-01"),
        (CadenceUnit.YEAR, "2026-01-01", "2027-01-01"),
    ],
)
def test_a_calendars_periods_begin_at_the_zones_own_midnight(unit: CadenceUnit, start: str, end: str) -> None:
    zone = ZoneInfo("America/New_York")
    calendar = PeriodCalendar(
        anchor=utc("2020-02-02T02:02"), cadence=Cadence(unit=unit), zone=zone, alignment=Alignment.CALENDAR
    )
    period = calendar.period_containing(utc("2026-08-20T03:59:59"))
    borders = [datetime.combine(date.fromisoformat(text), time(), tzinfo=zone) for text in (start, end)]
    assert [period.start, period.end] == borders


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 25), ("2026-03-09", 24)])
def test_a_day_on_which_clocks_change_has_23_or_25_hours(day: str, hours: int) -> None:
    period = day_containing(utc(f"{day}T18:00"), ZoneInfo("America/New_York"))
    assert period.end - period.start == timedelta(hours=hours)


def test_a_monthly_period_keeps_its_hour_when_clocks_change() -> None:
    calendar = PeriodCalendar(anchor=utc("2026-01-15T14:00"), zone=ZoneInfo("America/New_York"))
    period = calendar.period_containing(utc("2026-03-20T00:00"))
    assert period == Period(utc("2026-03-15T13:00"), utc("2026-04-15T13:00"))


def test_an_hour_that_a_day_does_not_have_is_read_as_if_clocks_had_not_changed() -> None:
    calendar = PeriodCalendar(
        anchor=utc("2026-03-07T07:30"), cadence=Cadence(unit=CadenceUnit.DAY), zone=ZoneInfo("America/New_York")
    )
    assert calendar.border(1) == utc("2026-03-08T07:30")
    assert calendar.border(2) == utc("2026-03-09T06:30")


def test_day_31_falls_back_and_returns_in_every_cadence_of_months() -> None:
    calendar = PeriodCalendar(anchor=utc("2025-08-31T00:00"), cadence=Cadence(unit=CadenceUnit.QUARTER))
    assert [calendar.border(index).date().isoformat() for index in range(4)] == [
        "2025-08-31",
        "2025-11-30",
        "2026-02-28",
        "2026-05-31",
    ]


def test_days_are_counted_by_dates_or_as_far_as_they_have_begun() -> None:
    zone = ZoneInfo("Europe/Berlin")
    start, end = utc("2026-03-28T22:30"), utc("2026-03-29T22:30")
    assert days_between(start, end, zone) == 2
    assert days_begun(start, end, zone) == 2
    assert days_begun(start, end - timedelta(hours=2), zone) == 1


def test_a_share_counts_whole_seconds_of_the_part_inside() -> None:
    period = Period(utc("2026-04-01T00:00"), utc("2026-05-01T00:00"))
    assert share_of(period, Period(utc("2026-04-16T00:00"), utc("2026-07-01T00:00"))) == Fraction(1, 2)
    assert share_of(period, Period(utc("2026-05-01T00:00"), utc("2026-07-01T00:00"))) == 0
    assert share_of(period, period) == 1


def test_a_leading_part_is_its_share_of_the_cycle_that_ends_with_it() -> None:
    calendar = PeriodCalendar(anchor=utc("2026-07-15T00:00"))
    assert cycles_in(Period(utc("2026-06-23T00:00"), utc("2026-07-15T00:00")), calendar) == Fraction(22, 30)
    assert cycles_in(Period(utc("2026-04-30T00:00"), utc("2026-07-15T00:00")), calendar) == 2 + Fraction(15, 30)


def test_of_an_hour_that_a_day_has_twice_the_first_begins_a_period() -> None:
    calendar = PeriodCalendar(
        anchor=utc("2026-10-31T05:45"), cadence=Cadence(unit=CadenceUnit.DAY), zone=ZoneInfo("America/New_York")
    )
    # 1:45 is at 5:45 and at 6:45 UTC on November 1; 6:30 is 1:30 for the second time.
    assert calendar.period_containing(utc("2026-11-01T06:30")).start == utc("2026-11-01T05:45")
    assert calendar.period_containing(utc("2026-11-01T06:50")).start == utc("2026-11-01T05:45")
