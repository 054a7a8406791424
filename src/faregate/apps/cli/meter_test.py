"""`faregate meter test`: try a draft meter on kept events and show what it counts, what not, and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.answering import answered, fail, print_json
from faregate.apps.cli.catalog_file import CatalogFileError, faults_in_file, read_catalog_file
from faregate.apps.cli.management import stream_lines
from faregate.wire.api.meter_trials import MeterTrialView, SampleView, TrialLine, TrialProgress, TrialSamples

_DRAFT = "meter."
_SHOWN_ROWS = 50


def run_meter_test(file: Path, *, from_at: datetime, to_at: datetime, api_url: str, token: str, json: bool) -> int:
    """Try the file's meter and print what came of it; return 0, or 1 after printing why not."""
    try:
        draft = read_catalog_file(file)
    except CatalogFileError as error:
        return fail(error.in_file(file))
    body = msgspec.json.encode({"meter": draft.document, "from": from_at, "to": to_at})
    return answered(
        lambda: _follow(f"{api_url}/api/v1/meters/test", token, body, quiet=json),
        api_url=api_url,
        show=print_json if json else _show,
        faults=partial(faults_in_file, file, draft, prefix=_DRAFT),
    )


def _follow(url: str, token: str, body: bytes, *, quiet: bool) -> MeterTrialView:
    console = Console(stderr=True, highlight=False, quiet=quiet)
    with console.status("reading events") as status:
        for line in stream_lines(url, token, body):
            match msgspec.json.decode(line, type=TrialLine):
                case TrialProgress() as progress:
                    status.update(f"{progress.read} of {progress.total} events, {progress.matched} match")
                case TrialSamples() as samples:
                    console.print(f"[dim]first samples: {len(samples.matched)} match, {len(samples.unmatched)} not[/]")
                case MeterTrialView() as result:
                    return result
    raise ValueError("the answer ended before the result")


def _show(result: MeterTrialView) -> None:
    console = Console(highlight=False, soft_wrap=True)
    progress = result.progress
    console.print(
        f"{progress.read} events: {progress.matched} match, {progress.unmatched} do not, "
        f"{progress.unmeterable} of those that match give no quantity."
    )
    _show_samples(console, "match", result.samples.matched)
    _show_samples(console, "do not match", result.samples.unmatched)
    _show_samples(console, "match without a quantity", result.samples.unmeterable)
    for reason in result.reasons:
        console.print(f"  {reason.event_count} x {escape(reason.reason)}")
    _show_totals(console, result)
    shown = result.windows[:_SHOWN_ROWS]
    for window in shown:
        group = f"  {escape(', '.join(window.group))}" if window.group else ""
        start = f"{window.start:%Y-%m-%d %H:%M}"
        console.print(f"  {start}  {escape(window.company_id)}{group}: {window.quantity} ({window.event_count} events)")
    more = len(result.windows) - len(shown) + result.windows_left_out
    if more:
        console.print(f"  and {more} more windows; --json shows {len(result.windows)} of them")


def _show_samples(console: Console, kind: str, samples: Sequence[SampleView]) -> None:
    if samples:
        console.print(f"[bold]Events that {kind}, for example:[/]")
    for sample in samples:
        what = (
            f"  #{sample.position} {sample.occurred_at:%Y-%m-%d %H:%M:%S} {sample.route or '-'} {sample.status or '-'}"
        )
        console.print(escape(what) + (f" -> {sample.quantity}" if sample.quantity is not None else ""))
        for mismatch in sample.mismatches:
            actual = "missing" if mismatch.actual is None else mismatch.actual
            console.print(f"      {escape(f'{mismatch.field} is {actual}; expected {mismatch.expected}')}")
        if sample.reason is not None:
            console.print(f"      {escape(sample.reason)}")


def _show_totals(console: Console, result: MeterTrialView) -> None:
    table = Table("company", "period", "events", "quantity", "would cost", title="By company", title_justify="left")
    for total in result.totals[:_SHOWN_ROWS]:
        amount = "" if total.amount is None else f"{total.amount} {total.currency}"
        period = f"{total.period_start:%Y-%m-%d} to {total.period_end:%Y-%m-%d}"
        table.add_row(escape(total.company_id), period, str(total.event_count), total.quantity, amount)
    if result.totals:
        console.print(table)
