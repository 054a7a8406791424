"""`faregate margin`: revenue, cost and margin as a table."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
from pyreqwest.exceptions import PyreqwestError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.management import Refused, ask, is_url
from faregate.wire.api.costs import MarginReport, MarginView

_PAGE_ROWS = 1_000


def run_margin(*, from_at: datetime, to_at: datetime, by: str, api_url: str, token: str, json: bool) -> int:
    """Print the report; return 0, or 1 after printing why not. Instants without a zone are UTC."""
    if not is_url(api_url):
        return _fail(f"api_url: {api_url!r} is not a URL such as 'http://127.0.0.1:8080'")
    query = f"from={_instant(from_at)}&to={_instant(to_at)}&by={by}&limit={_PAGE_ROWS}"
    try:
        report = _read(f"{api_url}/api/v1/margin?{query}", token)
    except Refused as refused:
        faults = [f"{fault.field}: {fault.message}" for fault in refused.problem.errors or []]
        return _fail(*(faults or [refused.problem.detail]))
    except (PyreqwestError, msgspec.DecodeError, ValueError) as error:
        return _fail(f"the control plane at {api_url} did not answer as expected: {error}")
    if json:
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _show(report, by)
    return 0


def _read(url: str, token: str) -> MarginReport:
    """Return the whole report: its rows are those of all parts."""
    rows: list[MarginView] = []
    cursor = ""
    while True:
        part = msgspec.json.decode(ask("GET", f"{url}{cursor}", token), type=MarginReport)
        rows += part.data
        if part.next_cursor is None:
            return msgspec.structs.replace(part, data=rows)
        cursor = f"&cursor={part.next_cursor}"


def _instant(at: datetime) -> str:
    aware = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return quote(aware.isoformat().replace("+00:00", "Z"))


def _show(report: MarginReport, by: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table(by, "calls", "uncosted", "revenue", "cost", "margin", "%", "")
    for column in table.columns[1:7]:
        column.justify = "right"
    for row in report.data:
        table.add_row(*_cells(row, escape(row.value or "none")))
    table.add_section()
    for row in report.totals:
        table.add_row(*_cells(row, "all"), style="bold")
    console.print(table)
    if not report.totals:
        console.print("Nothing is counted. Margins need a cost price: see `costs` in the catalog file.")
    for entry in report.not_attributable:
        console.print(f"Beside calls: {escape(entry.kind)} {entry.amount} {entry.currency}")
    if report.behind_events or report.days_recounted:
        console.print(
            f"[yellow]Not whole yet:[/] {report.behind_events} calls to come, "
            f"{report.days_recounted} days are counted again."
        )


def _cells(row: MarginView, label: str) -> list[str]:
    return [
        label,
        str(row.events),
        str(row.uncosted_events),
        f"{row.revenue} {row.currency or ''}".strip(),
        row.cost,
        row.margin,
        row.margin_percent or "",
        "[red]below cost[/]" if row.below_cost else "",
    ]


def _fail(*lines: str) -> int:
    for line in lines:
        print(line, file=sys.stderr)
    return 1
