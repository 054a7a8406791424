"""Bad input over real HTTP: refused by name, and nothing stored by halves."""

import pytest

from bench.bad_input import BadInput, cases, run_bad_input

NAMES = [case.name for case in cases("plan", token="token", collector_id="collector")]


@pytest.fixture(scope="module")
def found() -> dict[str, BadInput]:
    return {answer.name: answer for answer in run_bad_input()}


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_refused_by_a_problem_that_names_the_field_and_stores_nothing(
    found: dict[str, BadInput], name: str
) -> None:
    assert found[name].faults == []
    assert 400 <= found[name].status < 500
