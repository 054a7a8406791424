"""By how much an account fell below what it may spend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.domain.ledger.overspend import overspent

amounts = st.integers(min_value=-100, max_value=100)


@pytest.mark.parametrize(
    ("before", "after", "amount"), [(10, 0, 0), (10, -1, 1), (0, -3, 3), (-2, -5, 3), (-5, -2, 0), (-5, 4, 0)]
)
def test_only_what_goes_below_zero_or_further_below_it_is_overspent(before: int, after: int, amount: int) -> None:
    assert overspent(before=before, after=after) == amount


@given(amounts, amounts, amounts)
def test_two_falls_are_counted_as_one_fall_is(first: int, second: int, third: int) -> None:
    if first >= second >= third:
        parts = overspent(before=first, after=second) + overspent(before=second, after=third)
        assert parts == overspent(before=first, after=third)
