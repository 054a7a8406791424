from datetime import UTC, datetime, timedelta

import pytest

from faregate.apps.story.replaying.months import by_month, month_after, month_of, require_replayable
from faregate.apps.story.trace import TracedCall, TraceFault
from faregate.base.limits import MAX_CLOCK_AHEAD

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def call(at: datetime, row: int = 2) -> TracedCall:
    return TracedCall(row=row, occurred_at=at, context_tokens=1, generated_tokens=1)


def test_a_month_ends_where_the_next_begins_over_a_years_end_too() -> None:
    last = datetime(2023, 12, 31, 23, 59, 59, 999_999, UTC)
    assert month_of(last) == datetime(2023, 12, 1, tzinfo=UTC)
    assert month_after(month_of(last)) == datetime(2024, 1, 1, tzinfo=UTC) == month_of(last + timedelta(microseconds=1))
    assert month_after(datetime(2024, 2, 1, tzinfo=UTC)) == datetime(2024, 3, 1, tzinfo=UTC)


def test_calls_are_taken_month_by_month_and_empty_months_are_left_out() -> None:
    calls = [call(datetime(2023, month, day, tzinfo=UTC)) for month, day in ((1, 1), (1, 31), (4, 30), (5, 1))]
    assert [(month.month, len(group)) for month, group in by_month(calls)] == [(1, 2), (4, 1), (5, 1)]


def test_a_call_must_lie_where_business_time_can_be() -> None:
    latest_month = month_of(NOW + MAX_CLOCK_AHEAD - timedelta(days=31))
    require_replayable([call(datetime(2000, 1, 1, tzinfo=UTC)), call(latest_month)], name="t.csv", now=NOW)
    for at in (datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC), NOW + MAX_CLOCK_AHEAD, datetime.max.replace(tzinfo=UTC)):
        with pytest.raises(TraceFault, match=r"^t\.csv: row 7, TIMESTAMP: must lie from 2000-01-01 to 2036-"):
            require_replayable([call(NOW), call(at, row=7)], name="t.csv", now=NOW)
