"""Failpoints: each is named once in the code, and nothing happens at them in a process that is not armed."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from faregate.base import failpoints
from faregate.base.failpoints import EVENT_WRITTEN, FAILPOINTS, arm, reach

SOURCE = Path(failpoints.__file__).parent.parent
REACHED = re.compile(r"\breach\((\w+)\)")


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm(None)


def test_every_failpoint_is_reached_at_one_place_of_the_code() -> None:
    found = Counter(name for file in SOURCE.rglob("*.py") for name in REACHED.findall(file.read_text()))
    assert {getattr(failpoints, name) for name in found} == FAILPOINTS
    assert set(found.values()) == {1}


def test_a_point_does_nothing_until_it_is_armed_and_then_says_its_name() -> None:
    said: list[str] = []
    reach(EVENT_WRITTEN)
    arm(said.append)
    reach(EVENT_WRITTEN)
    assert said == ["gateway.event_written"]
