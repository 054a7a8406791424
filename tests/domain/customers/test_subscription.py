from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from faregate.base.periods import Period
from tests.builders import NOON, a_subscription


def test_before_it_starts_a_subscription_has_no_period() -> None:
    assert a_subscription(started_at=NOON).period_at(NOON - timedelta(microseconds=1)) is None


def test_the_first_period_begins_with_the_subscription() -> None:
    started_at = datetime(2026, 1, 31, 9, tzinfo=UTC)
    period = a_subscription(started_at=started_at).period_at(started_at)
    assert period == Period(started_at, datetime(2026, 2, 28, 9, tzinfo=UTC))


@given(st.timedeltas(timedelta(0), timedelta(days=3_660)))
def test_every_instant_from_the_start_on_is_in_one_period(since: timedelta) -> None:
    period = a_subscription(started_at=NOON).period_at(NOON + since)
    assert period is not None
    assert NOON + since in period
