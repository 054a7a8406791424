import calendar
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.clock import EPOCH
from faregate.base.periods import Period, PeriodCalendar, Span, window_containing
from tests.builders import NOON

MICROSECOND = timedelta(microseconds=1)
instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - zone beside
late_days = st.builds(
    lambda instant, day: instant.replace(month=1, day=day), instants, st.sampled_from([28, 29, 30, 31])
)
anchors = instants | late_days
lengths = st.timedeltas(timedelta(seconds=1), timedelta(days=40))


def month_containing(anchor: datetime, instant: datetime) -> Period:
    return PeriodCalendar(anchor=anchor).period_containing(instant)


def test_a_period_holds_its_start_and_not_its_end() -> None:
    period = Period(NOON, NOON + timedelta(minutes=5))
    assert period.start in period
    assert period.end - MICROSECOND in period
    assert period.end not in period
    assert period.start - MICROSECOND not in period


@given(instants, lengths)
def test_windows_tile_time(instant: datetime, length: timedelta) -> None:
    window = window_containing(instant, length)
    assert instant in window
    assert window.end - window.start == length
    assert window_containing(window.end, length).start == window.end
    assert window_containing(window.start - MICROSECOND, length).end == window.start


@given(instants)
def test_windows_are_counted_from_the_epoch(instant: datetime) -> None:
    length = timedelta(minutes=5)
    assert (window_containing(instant, length).start - EPOCH) % length == timedelta(0)


@given(anchors, instants)
def test_months_tile_time_for_every_anchor(anchor: datetime, instant: datetime) -> None:
    period = month_containing(anchor, instant)
    assert instant in period
    assert month_containing(anchor, period.start) == period
    assert month_containing(anchor, period.end - MICROSECOND) == period
    assert month_containing(anchor, period.end).start == period.end
    assert month_containing(anchor, period.start - MICROSECOND).end == period.start


@given(anchors, instants)
def test_a_month_starts_on_the_anchors_day_or_the_last_there_is(anchor: datetime, instant: datetime) -> None:
    start = month_containing(anchor, instant).start
    assert start.day == min(anchor.day, calendar.monthrange(start.year, start.month)[1])
    assert start.timetz() == anchor.timetz()


@given(anchors)
def test_twelve_months_lead_from_the_anchor_to_its_next_anniversary(anchor: datetime) -> None:
    period = month_containing(anchor, anchor)
    assert period.start == anchor
    for _ in range(11):
        period = month_containing(anchor, period.end)
    assert (period.end.year, period.end.month) == (anchor.year + 1, anchor.month)


@pytest.mark.parametrize(
    ("year", "starts"),
    [
        (2026, ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30"]),
        (2028, ["01-31", "02-29", "03-31", "04-30", "05-31", "06-30"]),
        (2100, ["01-31", "02-28", "03-31", "04-30", "05-31", "06-30"]),
        (2000, ["01-31", "02-29", "03-31", "04-30", "05-31", "06-30"]),
    ],
)
def test_day_31_falls_back_to_the_last_day_and_returns(year: int, starts: list[str]) -> None:
    anchor = datetime(year, 1, 31, 23, 30, tzinfo=UTC)
    period = month_containing(anchor, anchor)
    found = []
    for _ in starts:
        found.append(period.start.strftime("%m-%d"))
        period = month_containing(anchor, period.end)
    assert found == starts


def test_an_anchor_on_a_leap_day_returns_in_the_next_leap_year() -> None:
    anchor = datetime(2024, 2, 29, tzinfo=UTC)
    assert month_containing(anchor, datetime(2025, 3, 1, tzinfo=UTC)).start == datetime(2025, 2, 28, tzinfo=UTC)
    assert month_containing(anchor, datetime(2028, 3, 1, tzinfo=UTC)).start == datetime(2028, 2, 29, tzinfo=UTC)


def test_the_last_microsecond_before_the_anchors_hour_belongs_to_the_month_before() -> None:
    anchor = datetime(2026, 1, 10, 12, tzinfo=UTC)
    border = datetime(2026, 4, 10, 12, tzinfo=UTC)
    assert month_containing(anchor, border - MICROSECOND).end == border
    assert month_containing(anchor, border).start == border


def test_a_span_touches_the_periods_that_share_an_instant_with_it() -> None:
    day = timedelta(days=1)
    period = Period(NOON, NOON + day)
    assert Span(NOON + day / 2).touches(period)
    assert Span(NOON - day, NOON + day / 2).touches(period)
    assert not Span(NOON + day).touches(period)
    assert not Span(NOON - day, NOON).touches(period)
