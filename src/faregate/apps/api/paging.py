"""Lists, a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from litestar.params import QueryParameter

from faregate.base.limits import MAX_PAGE_ROWS, PAGE_ROWS
from faregate.wire.api.common import Page, decode_cursor, encode_cursor

R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")

Limit = Annotated[
    int, QueryParameter(name="limit", ge=1, le=MAX_PAGE_ROWS, description="How many rows to answer with at most.")
]
Cursor = Annotated[
    str | None,
    QueryParameter(name="cursor", max_length=2_000, description="`next_cursor` of the part before, for the next part."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Which part of a list is asked for."""

    limit: int
    cursor: str | None

    @property
    def after(self) -> str:
        """Return the id after which the part begins, for lists that are ordered by one id."""
        place = self.place(tuple[str])
        return "" if place is None else place[0]

    def place(self, kind: type[T]) -> T | None:
        """Return the key after which the part begins, for lists in any other order; None for the first part."""
        return None if self.cursor is None else decode_cursor(self.cursor, kind)

    @property
    def rows(self) -> int:
        """Return how many rows to read: one more than to show, to know whether there is a next part."""
        return self.limit + 1

    def page(
        self, rows: Sequence[R], key: Callable[[R], str | tuple[str | int, ...]], view: Callable[[R], V]
    ) -> Page[V]:
        """Return the part to answer with; `key`: the id by which the list is ordered, or the several columns."""
        shown = rows[: self.limit]
        last = key(shown[-1]) if len(rows) > self.limit else None
        return Page(
            data=[view(row) for row in shown],
            next_cursor=None if last is None else encode_cursor(*((last,) if isinstance(last, str) else last)),
        )


async def read_paging(limit: Limit = PAGE_ROWS, cursor: Cursor = None) -> Paging:
    """Return which part of a list the query asks for."""
    return Paging(limit=limit, cursor=cursor)
