"""Fifty calls at once against a balance for ten, through real processes."""

import pytest

from bench.parallel_calls import VARIANTS, ParallelCalls, run_parallel_calls


@pytest.fixture(scope="module")
def found() -> dict[str, ParallelCalls]:
    return {calls.variant: calls for calls in run_parallel_calls()}


@pytest.mark.parametrize("variant", [variant.name for variant in VARIANTS])
def test_of_fifty_parallel_calls_exactly_the_ten_that_are_paid_for_are_answered(
    found: dict[str, ParallelCalls], variant: str
) -> None:
    calls = found[variant]
    assert calls.answered == {"200": 10, "402": 40}
    assert (calls.balance, calls.reserved, calls.exhausted) == ("0.00", "0.00", True)
    assert calls.held
