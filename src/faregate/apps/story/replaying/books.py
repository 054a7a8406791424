"""What Faregate's books say of a replay, and how that differs from the independent sum of the file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct, field

from faregate.apps.story.trace_sum import MonthSum

NOTHING: Final = Decimal("0.00")


class MonthBooks(Struct, kw_only=True):
    """A month in Faregate's books. Money is in dollars, exact; without an invoice, `invoice` is None."""

    month: str
    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    debits: dict[str, Decimal] = field(default_factory=dict)
    invoice: str | None = None
    invoiced: Decimal = NOTHING
    status: str | None = None


class Difference(Struct, kw_only=True, frozen=True):
    """One thing that differs: in which month, what it is, by the file, and in the books."""

    month: str
    what: str
    file: str
    books: str


def differences(summed: Iterable[MonthSum], books: Mapping[str, MonthBooks]) -> list[Difference]:
    """Return everything in which the books differ from the sum of the file, month by month."""
    found = []
    months = {month_name(month.year, month.month): month for month in summed}
    for name in sorted(months.keys() | books.keys()):
        month, kept = months.get(name), books.get(name, MonthBooks(month=name))
        cents = 0 if month is None else month.cents
        for what, by_file, in_books in (
            ("calls", 0 if month is None else month.calls, kept.calls),
            ("tokens in", 0 if month is None else month.tokens_in, kept.tokens_in),
            ("tokens out", 0 if month is None else month.tokens_out, kept.tokens_out),
            ("money invoiced", _dollars(cents), kept.invoiced),
            ("money debited", _dollars(cents), sum(kept.debits.values(), NOTHING)),
        ):
            if by_file != in_books:
                found.append(Difference(month=name, what=what, file=str(by_file), books=str(in_books)))
    return found


def month_name(year: int, month: int) -> str:
    """Return a month as `2023-11`."""
    return f"{year:04}-{month:02}"


def _dollars(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
