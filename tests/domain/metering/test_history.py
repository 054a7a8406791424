from datetime import timedelta

from faregate.base.periods import Period, Span
from faregate.domain.metering.history import MeterChange, MeterHistory
from tests.builders import NOON, a_meter

DAY = timedelta(days=1)
FIRST, SECOND = Period(NOON, NOON + DAY), Period(NOON + DAY, NOON + 2 * DAY)
MADE, ONCE, TWICE = (a_meter(field=f"response.{name}") for name in "abc")


def history(*changes: MeterChange) -> MeterHistory:
    return MeterHistory(made=MADE, changes=changes)


def test_a_meter_counts_as_it_was_made_what_it_met() -> None:
    assert history().counted_as(5, FIRST) == (0, MADE, True)
    assert history().meter_id == MADE.meter_id


def test_a_correction_counts_its_periods_whole_and_all_that_comes_later() -> None:
    found = history(MeterChange(meter=ONCE, position=5, span=Span(SECOND.start, SECOND.end)))
    assert found.counted_as(5, FIRST) == (0, MADE, True)
    assert found.counted_as(5, SECOND) == (1, ONCE, False)
    assert found.counted_as(6, FIRST) == (1, ONCE, True)


def test_the_last_correction_of_a_period_is_the_one_that_counts() -> None:
    first = MeterChange(meter=ONCE, position=5, span=Span(FIRST.start))
    found = history(first).changed(MeterChange(meter=TWICE, position=9, span=Span(SECOND.start)))
    assert found.meters == (MADE, ONCE, TWICE)
    assert found.counted_as(9, SECOND) == (2, TWICE, False)
    assert found.counted_as(9, FIRST) == (1, ONCE, True)
    assert found.counted_as(5, FIRST) == (1, ONCE, False)
    assert found.counted_as(10, FIRST) == (2, TWICE, True)


def test_a_change_without_a_span_leaves_what_was_counted_before_it() -> None:
    found = history(MeterChange(meter=ONCE, position=5))
    assert found.counted_as(5, FIRST) == (0, MADE, True)
    assert found.counted_as(6, FIRST) == (1, ONCE, True)
