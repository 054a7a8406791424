from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.clock import EPOCH, SystemClock, from_microseconds, to_microseconds


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_its_microseconds_exactly(instant: datetime) -> None:
    assert from_microseconds(to_microseconds(instant)) == instant


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_microseconds_order_as_instants_do(one: datetime, other: datetime) -> None:
    assert (to_microseconds(one) < to_microseconds(other)) == (one < other)


def test_the_epoch_is_microsecond_zero_and_earlier_instants_are_negative() -> None:
    assert to_microseconds(EPOCH) == 0
    assert to_microseconds(EPOCH - timedelta(microseconds=1)) == -1


def test_an_instant_without_a_zone_has_no_microseconds() -> None:
    with pytest.raises(TypeError):
        to_microseconds(datetime(2026, 3, 10))  # noqa: DTZ001 - the missing zone is the point


def test_the_system_clock_tells_the_present_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_steady_time_never_steps_back() -> None:
    readings = [SystemClock().steady_ms() for _ in range(100)]
    assert readings == sorted(readings)
