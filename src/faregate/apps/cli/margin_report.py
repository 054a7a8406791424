"""`faregate margin`: revenue, cost and margin as a table."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.answering import PAGE_ROWS, answered, detail_of, print_json
from faregate.apps.cli.management import ask
from faregate.wire.api.costs import MarginReport, MarginView
from faregate.wire.problem import Problem


def run_margin(*, from_at: datetime, to_at: datetime, by: str, api_url: str, token: str, json: bool) -> int:
    """Print the report; return 0, or 1 after printing why not. Instants are in UTC."""
    query = f"from={_instant(from_at)}&to={_instant(to_at)}&by={by}&limit={PAGE_ROWS}"
    return answered(
        lambda: _read(f"{api_url}/api/v1/margin?{query}", token),
        api_url=api_url,
        show=print_json if json else lambda report: _show(report, by),
        faults=_faults,
    )


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


def _faults(problem: Problem) -> list[str]:
    return [f"{fault.field}: {fault.message}" for fault in problem.errors or []] or detail_of(problem)


def _instant(at: datetime) -> str:
    return quote(at.isoformat().replace("+00:00", "Z"))


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
