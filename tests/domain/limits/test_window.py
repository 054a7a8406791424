"""A gateway's minute."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.limits.window import WINDOW_S, SlidingWindow

_USES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), max_size=60)


@given(_USES)
def test_it_counts_what_was_used_in_the_last_sixty_seconds_and_nothing_older_than_sixty_one(
    uses: list[tuple[int, int]],
) -> None:
    window, now, used = SlidingWindow(0), 0, []
    for later, units in uses:
        now += later
        window.advance(now)
        window.add(units)
        used.append((now, units))
        assert window.used == sum(many for second, many in used if second > now - WINDOW_S - 1)


@given(_USES, st.integers(0, 200))
def test_units_leave_when_it_says(uses: list[tuple[int, int]], units: int) -> None:
    window, now = SlidingWindow(0), 0
    for later, many in uses:
        now += later
        window.advance(now)
        window.add(many)
    before = window.used
    after_s = window.frees_in_s(units)
    if 0 < units <= before:
        window.advance(now + after_s - 1)
        assert before - window.used < units
    window.advance(now + after_s)
    assert before - window.used >= min(units, before)
    clears_in_s = window.clears_in_s()
    window.advance(now + after_s + clears_in_s)
    assert window.used == 0


def test_a_clock_that_stands_or_goes_back_changes_nothing() -> None:
    window = SlidingWindow(100)
    window.add(3)
    window.advance(100)
    window.advance(99)
    assert window.used == 3


def test_a_correction_stays_in_the_second_of_its_call_and_leaves_with_it() -> None:
    window = SlidingWindow(0)
    second = window.add(100)
    window.advance(30)
    window.correct(second, -60)
    assert window.used == 40
    window.correct(second, 10)
    assert window.used == 50
    window.advance(61)
    assert window.used == 0


def test_a_correction_of_what_has_left_the_window_changes_nothing() -> None:
    window = SlidingWindow(0)
    second = window.add(100)
    window.advance(61)
    window.correct(second, 50)
    assert window.used == 0


def test_a_correction_never_takes_more_than_was_counted() -> None:
    window = SlidingWindow(0)
    second = window.add(5)
    window.correct(second, -9)
    assert window.used == 0


def test_more_than_is_in_use_is_free_when_the_window_is_over() -> None:
    window = SlidingWindow(0)
    window.add(1)
    assert window.frees_in_s(2) == 61
