from datetime import UTC, datetime, timedelta

import pytest

from faregate.apps.story.replaying.pace import LONGEST_WAIT_S, Speed, due_times, parse_speed
from faregate.apps.story.trace import TracedCall
from faregate.base.errors import InvalidInput

START = datetime(2023, 11, 16, tzinfo=UTC)


def calls_at(*seconds: float) -> list[TracedCall]:
    return [
        TracedCall(row=2, occurred_at=START + timedelta(seconds=at), context_tokens=1, generated_tokens=1)
        for at in seconds
    ]


def test_at_the_highest_speed_every_call_is_due_at_once() -> None:
    assert list(due_times(calls_at(0, 5, 5, 900), Speed(factor=None))) == [0, 0, 0, 0]


def test_calls_keep_the_rhythm_of_the_trace_some_times_faster() -> None:
    assert list(due_times(calls_at(0, 5, 5, 25), Speed(factor=1))) == [0, 5, 5, 25]
    assert list(due_times(calls_at(0, 5, 5, 25), Speed(factor=10))) == [0, 0.5, 0.5, 2.5]


def test_a_long_gap_is_cut_to_a_minute_of_waiting() -> None:
    assert list(due_times(calls_at(0, 60, 86_460, 86_461), Speed(factor=1))) == [0, 60, 120, 121]
    assert list(due_times(calls_at(0, LONGEST_WAIT_S * 10 + 1), Speed(factor=10))) == [0, LONGEST_WAIT_S]


@pytest.mark.parametrize(("text", "factor"), [("1", 1), ("10", 10), ("1000000", 1_000_000), ("max", None)])
def test_a_speed_is_a_whole_number_or_max(text: str, factor: int | None) -> None:
    speed = parse_speed(text)
    assert speed.factor == factor
    assert str(speed) == text


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "fast", "", "1000001", "MAX", "\u0661"])
def test_any_other_speed_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"speed: must be 'max' or a whole number from 1 to 1000000"):
        parse_speed(text)
