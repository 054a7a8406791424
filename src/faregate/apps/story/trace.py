"""Traces of LLM traffic: a CSV file of when a call came, how long its prompt was and how long its answer.

Source of the form: the Azure public dataset's LLM inference traces: `TIMESTAMP,ContextTokens,GeneratedTokens`, times in
UTC with up to seven fractional digits, CRLF, no newline at the end.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from faregate.base.errors import FaregateError

TIMESTAMP: Final = "TIMESTAMP"
CONTEXT_TOKENS: Final = "ContextTokens"
GENERATED_TOKENS: Final = "GeneratedTokens"
COLUMNS: Final = (TIMESTAMP, CONTEXT_TOKENS, GENERATED_TOKENS)

MAX_CALL_TOKENS: Final = 10**12
"""Tokens of one call, in or out."""

MAX_TRACE_TOKENS: Final = 10**15
"""Tokens of a whole trace, in or out: beyond it a month's price would not fit the ledger."""

_MAX_DIGITS: Final = 100
_MICROSECOND_DIGITS: Final = 6
_INSTANT: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)


class TraceFault(FaregateError):
    """A file that is no trace; the message names the file and, where there is one, the row and the column."""

    code = "trace_fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedCall:
    """One row. `row` is its line in the file, the header being line 1; rows that are alike are different calls."""

    row: int
    occurred_at: datetime
    context_tokens: int
    generated_tokens: int


def read_trace(path: Path) -> list[TracedCall]:
    """Return all calls of a trace in the file's order.

    Raises:
        TraceFault: The file cannot be read, has no such columns, no rows, or a bad value in one of them.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            calls = list(parse_trace(lines, name=str(path)))
    except OSError as error:
        raise TraceFault(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TraceFault(f"{path}: is not text in UTF-8") from error
    _check_sums(calls, str(path))
    return calls


def parse_trace(lines: Iterable[str], *, name: str) -> Iterator[TracedCall]:
    """Yield the calls in `lines`; blank lines are none. Raises `TraceFault`, which begins with `name`."""
    reader = csv.reader(lines, strict=True)
    columns: list[int] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _find_columns(cells, name)
            else:
                yield _read_row(cells, columns, row=reader.line_num, name=name)
    except csv.Error as error:
        raise TraceFault(f"{name}: row {reader.line_num} is not CSV: {error}") from error
    if columns is None:
        raise TraceFault(f"{name}: is empty; its first line must be {','.join(COLUMNS)}")


def in_order(calls: Iterable[TracedCall]) -> list[TracedCall]:
    """Return the calls by their time; those of one instant keep the file's order."""
    return sorted(calls, key=lambda call: call.occurred_at)


def _find_columns(cells: list[str], name: str) -> list[int]:
    found = [cell.strip().casefold() for cell in cells]
    missing = [column for column in COLUMNS if column.casefold() not in found]
    if missing:
        raise TraceFault(f"{name}: its first line lacks {', '.join(missing)}; it must be {','.join(COLUMNS)}")
    return [found.index(column.casefold()) for column in COLUMNS]


def _read_row(cells: list[str], columns: list[int], *, row: int, name: str) -> TracedCall:
    place = f"{name}: row {row}"
    texts = []
    for column, index in zip(COLUMNS, columns, strict=True):
        if index >= len(cells):
            raise TraceFault(f"{place} has no {column}")
        texts.append(cells[index].strip())
    return TracedCall(
        row=row,
        occurred_at=_read_instant(texts[0], f"{place}, {TIMESTAMP}"),
        context_tokens=_read_tokens(texts[1], f"{place}, {CONTEXT_TOKENS}"),
        generated_tokens=_read_tokens(texts[2], f"{place}, {GENERATED_TOKENS}"),
    )


def _read_instant(text: str, place: str) -> datetime:
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise TraceFault(f"{place}: must be a time such as 2023-11-16 18:15:46.6805900, not {text!r}")
    # Digits beyond the microsecond are cut off, never rounded up into the next second or month.
    fraction = (found["fraction"] or "")[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
    zone = (found["zone"] or "Z").upper()
    try:
        return datetime.fromisoformat(f"{found['day']}T{found['time']}.{fraction}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise TraceFault(f"{place}: {text!r} is not a time: {error}") from error


def _read_tokens(text: str, place: str) -> int:
    # isdecimal alone would let other scripts' digits in; the length bound keeps int() cheap.
    if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS and int(text) <= MAX_CALL_TOKENS:
        return int(text)
    raise TraceFault(f"{place}: must be a whole number from 0 to {MAX_CALL_TOKENS}, not {text!r}")


def _check_sums(calls: list[TracedCall], name: str) -> None:
    if not calls:
        raise TraceFault(f"{name}: has no calls after its first line")
    for column, total in (
        (CONTEXT_TOKENS, sum(call.context_tokens for call in calls)),
        (GENERATED_TOKENS, sum(call.generated_tokens for call in calls)),
    ):
        if total > MAX_TRACE_TOKENS:
            raise TraceFault(f"{name}: {column} must add up to at most {MAX_TRACE_TOKENS}, not {total}")
