"""Every case of billing_cases.json, through the core.

The cases are facts of public billing systems, each with its source. docs/policies.md says which policies they touch;
a case that one of our policies answers otherwise is named in `DEVIATIONS` with the policy's words. None does today.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.domain.billing_case_runner import differences, run_case

ROOT: Final = Path(__file__).parents[2]
CASES: Final[list[dict[str, Any]]] = json.loads((ROOT / "tests/data/billing_cases.json").read_text())["cases"]
POLICIES: Final = (ROOT / "docs/policies.md").read_text()

DEVIATIONS: Final[Mapping[str, str]] = {}
"""Case id -> the sentence of docs/policies.md that it differs by."""

MOST_DEVIATIONS: Final = 8


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES if case["id"] not in DEVIATIONS])
def test_a_case_comes_out_as_it_did_where_it_comes_from(case: dict[str, Any]) -> None:
    assert differences(case["expected"], run_case(case)) == {}


def test_a_deviation_quotes_the_policy_that_it_differs_by() -> None:
    assert len(DEVIATIONS) <= MOST_DEVIATIONS
    assert DEVIATIONS.keys() <= {case["id"] for case in CASES}
    assert [policy for policy in DEVIATIONS.values() if policy not in POLICIES] == []


def test_every_case_asks_for_something() -> None:
    assert [case["id"] for case in CASES if not case["expected"]] == []


def test_a_wrong_expectation_is_found() -> None:
    case = next(case for case in CASES if case["id"] == "grad-om-12")
    assert differences({"amount": "170.000000001"}, run_case(case)) != {}


def test_an_area_that_nobody_knows_is_said_so() -> None:
    with pytest.raises(KeyError, match="weather"):
        run_case({"area": "weather.rain", "input": {}})
