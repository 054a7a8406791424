"""The replay's result: one JSON document, or a page of the terminal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from faregate.apps.story.latency import Percentiles, percentiles
from faregate.apps.story.replaying.books import NOTHING, Difference, MonthBooks, differences, month_name
from faregate.apps.story.replaying.playing import Played
from faregate.apps.story.replaying.sending import Failure
from faregate.apps.story.seed import INPUT, OUTPUT
from faregate.apps.story.trace_sum import MonthSum, TraceSum

_SHOWN_FAILURES = 5


class Totals(Struct, kw_only=True, frozen=True):
    """Calls, tokens and dollars of a whole trace."""

    calls: int
    tokens_in: int
    tokens_out: int
    money: Decimal


class ReplayRecord(Struct, kw_only=True, frozen=True):
    """What a replay found. `difference` is the books less the file; `ok` only if nothing differs and nothing failed."""

    ok: bool
    file: Totals
    books: Totals
    difference: Totals
    differences: list[Difference]
    months: list[MonthBooks]
    calls_sent: int
    streams: int
    failed: int
    failures: list[dict[str, Any]]
    seconds: float
    calls_per_second: float
    first_byte_ms: Percentiles | None
    whole_ms: Percentiles | None


def record_of(summed: TraceSum, played: Played) -> ReplayRecord:
    """Compare the books with the file's sum."""
    sent, books = played.sent, played.books
    by_file = Totals(
        calls=summed.calls, tokens_in=summed.tokens_in, tokens_out=summed.tokens_out, money=_dollars(summed.cents)
    )
    in_books = Totals(
        calls=sum(kept.calls for kept in books.values()),
        tokens_in=sum(kept.tokens_in for kept in books.values()),
        tokens_out=sum(kept.tokens_out for kept in books.values()),
        money=sum((kept.invoiced for kept in books.values()), NOTHING),
    )
    differing = differences(summed.months, books)
    return ReplayRecord(
        ok=not differing and not sent.failures,
        file=by_file,
        books=in_books,
        difference=Totals(
            calls=in_books.calls - by_file.calls,
            tokens_in=in_books.tokens_in - by_file.tokens_in,
            tokens_out=in_books.tokens_out - by_file.tokens_out,
            money=in_books.money - by_file.money,
        ),
        differences=differing,
        months=[books[name] for name in sorted(books)],
        calls_sent=sent.answered + len(sent.failures),
        streams=sent.streams,
        failed=len(sent.failures),
        failures=[_failure(failure) for failure in sent.failures[:100]],
        seconds=round(sent.seconds, 3),
        calls_per_second=round(sent.answered / sent.seconds, 1) if sent.seconds else 0.0,
        first_byte_ms=percentiles(sent.first_ms),
        whole_ms=percentiles(sent.whole_ms),
    )


def render(record: ReplayRecord, summed: TraceSum) -> RenderableType:
    """Return the page: usage and money by month, speed, and the differences."""
    speed = (
        f"{record.calls_sent:,} calls ({record.streams:,} streams) in {record.seconds:,.1f} s: "
        f"{record.calls_per_second:,.0f} a second"
    )
    return Group(
        Text("Usage and charges", style="bold"),
        _months(record, summed),
        Text("\nSpeed", style="bold"),
        _speed(record),
        Text(speed),
        Text("\nAgainst an independent sum of the file", style="bold"),
        _comparison(record),
        *_verdict(record),
    )


def _table(*columns: str) -> Table:
    """Return a table whose first column is words and whose others are numbers, which are never cut."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def _months(record: ReplayRecord, summed: TraceSum) -> Table:
    files = {month_name(month.year, month.month): month for month in summed.months}
    table = _table("month", "calls", "tokens in", "tokens out", "input", "output", "invoice")
    for kept in record.months:
        table.add_row(
            kept.month,
            f"{kept.calls:,}",
            f"{kept.tokens_in:,}",
            f"{kept.tokens_out:,}",
            f"${kept.debits.get(INPUT, NOTHING):,}",
            f"${kept.debits.get(OUTPUT, NOTHING):,}",
            f"${kept.invoiced:,}" if kept.invoice else "none",
            style="" if _agrees(files.get(kept.month), kept) else "bold red",
        )
    return table


def _speed(record: ReplayRecord) -> Table:
    table = _table("", "p50", "p95", "p99")
    for name, found in (("first byte", record.first_byte_ms), ("whole answer", record.whole_ms)):
        if found is not None:
            table.add_row(name, f"{found.p50_ms:.1f} ms", f"{found.p95_ms:.1f} ms", f"{found.p99_ms:.1f} ms")
    return table


def _comparison(record: ReplayRecord) -> Table:
    table = _table("", "file", "books", "difference")
    for attribute, sign in (("calls", ""), ("tokens_in", ""), ("tokens_out", ""), ("money", "$")):
        by_file, in_books, apart = (
            getattr(totals, attribute) for totals in (record.file, record.books, record.difference)
        )
        table.add_row(
            attribute.replace("_", " "),
            f"{sign}{by_file:,}",
            f"{sign}{in_books:,}",
            Text(f"{apart:,}" if apart else "0", style="bold red" if apart else "green"),
        )
    return table


def _verdict(record: ReplayRecord) -> list[RenderableType]:
    if record.ok:
        return [Text("Nothing differs, and no call failed.", style="bold green")]
    lines: list[RenderableType] = [
        Text(f"{entry.month}: {entry.what}: {entry.file} by the file, {entry.books} in the books", style="bold red")
        for entry in record.differences
    ]
    lines += [
        Text(f"row {failure['row']} failed: {failure['what']}", style="red")
        for failure in record.failures[:_SHOWN_FAILURES]
    ]
    if record.failed:
        lines.append(Text(f"{record.failed:,} calls failed.", style="bold red"))
    return lines


def _agrees(month: MonthSum | None, kept: MonthBooks) -> bool:
    return not differences([] if month is None else [month], {kept.month: kept})


def _failure(failure: Failure) -> dict[str, Any]:
    return {"row": failure.row, "what": failure.what}


def _dollars(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)
