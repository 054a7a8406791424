from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.story.trace import TracedCall
from faregate.apps.story.trace_sum import sum_trace


def call(tokens_in: int, tokens_out: int, *, at: datetime = datetime(2023, 11, 16, tzinfo=UTC)) -> TracedCall:
    return TracedCall(row=2, occurred_at=at, context_tokens=tokens_in, generated_tokens=tokens_out)


@pytest.mark.parametrize(
    ("tokens_in", "tokens_out", "cents"),
    [
        (0, 0, 0),
        (1, 0, 50),
        (0, 1, 150),
        (1_000_000, 1_000_000, 200),
        (1_000_001, 1_000_000, 250),
        (1_000_000, 1_000_001, 350),
        (22_361_870, 4_088_665, 1_900),
        (10**9, 10**9, 200_000),
    ],
)
def test_a_month_costs_its_begun_packages(tokens_in: int, tokens_out: int, cents: int) -> None:
    assert sum_trace([call(tokens_in, tokens_out)]).cents == cents


def test_each_calendar_month_is_rounded_by_itself() -> None:
    last = datetime(2023, 12, 31, 23, 59, 59, 999_999, UTC)
    found = sum_trace([call(1, 0, at=datetime(2024, 1, 1, tzinfo=UTC)), call(1, 0, at=last), call(1, 0, at=last)])
    assert [(month.year, month.month, month.calls, month.cents) for month in found.months] == [
        (2023, 12, 2, 50),
        (2024, 1, 1, 50),
    ]
    assert (found.calls, found.tokens_in, found.tokens_out, found.cents) == (3, 3, 0, 100)


@given(st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(0, 3_000_000)), max_size=20))
def test_the_sum_is_that_of_exact_fractions(rows: list[tuple[int, int]]) -> None:
    found = sum_trace([call(tokens_in, tokens_out) for tokens_in, tokens_out in rows])
    inputs, outputs = sum(row[0] for row in rows), sum(row[1] for row in rows)
    dollars = ceil(Fraction(inputs, 10**6)) * Decimal("0.50") + ceil(Fraction(outputs, 10**6)) * Decimal("1.50")
    assert Decimal(found.cents) / 100 == dollars
    assert found.calls == len(rows)
