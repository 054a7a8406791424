from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from faregate.base.limits import EVENT_AHEAD_TOLERANCE, PROVIDER_HORIZON
from faregate.domain.billing.provider_usage import (
    is_reportable,
    key_of_identifier,
    report_identifier,
    report_key,
    whole_units_to_report,
)
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


WINDOW = "mtr_in:acme:2026-03-10T12:00:00.000000Z"


def test_a_report_is_named_by_its_window_and_a_later_one_by_its_revision() -> None:
    assert report_key(WINDOW, revision=0) == WINDOW
    assert report_key(WINDOW, revision=2) == f"{WINDOW}:r2"


@given(st.text(min_size=1, max_size=300), st.integers(0, 999), st.integers(0, 999))
def test_a_provider_takes_every_identifier_and_each_leads_back_to_its_report(
    window: str, revision: int, resends: int
) -> None:
    key = report_key(window, revision=revision)
    identifier = report_identifier(key, resends=resends)
    assert len(identifier) <= 100
    assert identifier == report_identifier(report_key(window, revision=revision), resends=resends)
    assert not resends or key_of_identifier(identifier) == key


def test_windows_with_long_names_are_told_apart() -> None:
    names = {report_key("x" * 200 + ending, revision=1) for ending in ("a", "b")}
    assert len(names) == 2
    assert all(name.startswith("#") and name.endswith(":r1") for name in names)
