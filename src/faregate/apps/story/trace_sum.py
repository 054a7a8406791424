"""The independent sum of a trace: what a calendar month of its calls must cost, by plain integers.

Written apart from Faregate's rating on purpose, and in another way: nothing of `domain` is used here. The seed's
prices: $0.50 for every 1,000,000 input tokens begun in a month, $1.50 for every 1,000,000 output tokens begun.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from faregate.apps.story.trace import TracedCall

PACKAGE_TOKENS: Final = 1_000_000
INPUT_PACKAGE_CENTS: Final = 50
OUTPUT_PACKAGE_CENTS: Final = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthSum:
    """A calendar month, in UTC, of a trace; money in whole cents."""

    year: int
    month: int
    calls: int
    tokens_in: int
    tokens_out: int

    @property
    def input_cents(self) -> int:
        """The month's input packages, rounded up once."""
        return -(-self.tokens_in // PACKAGE_TOKENS) * INPUT_PACKAGE_CENTS

    @property
    def output_cents(self) -> int:
        """The month's output packages, rounded up once."""
        return -(-self.tokens_out // PACKAGE_TOKENS) * OUTPUT_PACKAGE_CENTS

    @property
    def cents(self) -> int:
        """What the month costs."""
        return self.input_cents + self.output_cents


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSum:
    """A whole trace, by month; a month without calls is not there."""

    months: tuple[MonthSum, ...]

    @property
    def calls(self) -> int:
        """Rows."""
        return sum(month.calls for month in self.months)

    @property
    def tokens_in(self) -> int:
        """The sum of all prompts."""
        return sum(month.tokens_in for month in self.months)

    @property
    def tokens_out(self) -> int:
        """The sum of all answers."""
        return sum(month.tokens_out for month in self.months)

    @property
    def cents(self) -> int:
        """What all months cost, each rounded by itself."""
        return sum(month.cents for month in self.months)


def sum_trace(calls: Iterable[TracedCall]) -> TraceSum:
    """Return the sum of a trace; the order of its calls does not matter."""
    counts: dict[tuple[int, int], tuple[int, int, int]] = {}
    for call in calls:
        month = (call.occurred_at.year, call.occurred_at.month)
        number, tokens_in, tokens_out = counts.get(month, (0, 0, 0))
        counts[month] = (number + 1, tokens_in + call.context_tokens, tokens_out + call.generated_tokens)
    return TraceSum(
        months=tuple(
            MonthSum(year=year, month=month, calls=number, tokens_in=tokens_in, tokens_out=tokens_out)
            for (year, month), (number, tokens_in, tokens_out) in sorted(counts.items())
        )
    )
