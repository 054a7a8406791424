from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from faregate.base.limits import EVENT_AHEAD_TOLERANCE, PROVIDER_HORIZON
from faregate.domain.billing.provider_usage import is_reportable, whole_units_to_report
from tests.builders import NOON

MICROSECOND = timedelta(microseconds=1)


def test_usage_is_reportable_up_to_35_days_late_and_5_minutes_early() -> None:
    assert is_reportable(NOON - PROVIDER_HORIZON, NOON)
    assert not is_reportable(NOON - PROVIDER_HORIZON - MICROSECOND, NOON)
    assert is_reportable(NOON + EVENT_AHEAD_TOLERANCE, NOON)
    assert not is_reportable(NOON + EVENT_AHEAD_TOLERANCE + MICROSECOND, NOON)


@given(st.lists(st.decimals(min_value=0, max_value=100, places=3), max_size=20))
def test_no_part_of_a_unit_is_ever_dropped(parts: list[Decimal]) -> None:
    total, reported = Decimal(0), 0
    for part in parts:
        total += part
        reported += whole_units_to_report(total, reported)
        assert 0 <= total - reported < 1
