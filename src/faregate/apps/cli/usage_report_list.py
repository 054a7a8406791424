"""`faregate usage-reports`: a table of reports, and sending those again that failed."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from faregate.apps.cli.answering import answered, print_json
from faregate.apps.cli.management import ask
from faregate.wire.api.common import Page
from faregate.wire.api.usage_reports import UsageReportStatus, UsageReportView

_ROWS = 200


def run_usage_reports(
    *, status: UsageReportStatus | None, resend: str | None, api_url: str, token: str, json: bool
) -> int:
    """Send again what is named, then print reports. Return 0, or 1 after saying why not."""
    return answered(
        lambda: _run(status, resend, f"{api_url}/api/v1/usage-reports", token=token),
        api_url=api_url,
        show=print_json if json else _show,
    )


def _run(status: UsageReportStatus | None, resend: str | None, url: str, *, token: str) -> Page[UsageReportView]:
    if resend is not None:
        ask("POST", f"{url}/resend" if resend == "all" else f"{url}/{quote(resend, safe='')}/resend", token)
    query = {"limit": str(_ROWS)} | ({} if status is None else {"status": status.value})
    return msgspec.json.decode(ask("GET", f"{url}?{urlencode(query)}", token), type=Page[UsageReportView])


def _show(found: Page[UsageReportView]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    # Whole, however narrow the terminal is: it is what `--resend` takes.
    columns = ("status", "company", "price", "units", "usage at", "attempts", "error")
    table = Table(Column("report", no_wrap=True), *columns)
    for row in found.data:
        table.add_row(
            row.report_id,
            row.status.value,
            escape(row.company_id),
            escape(row.price_id),
            row.value,
            f"{row.usage_at:%Y-%m-%d %H:%M}",
            str(row.attempts),
            escape(row.last_error or "-"),
        )
    console.print(table if found.data else "No such report.")
    if found.next_cursor is not None:
        console.print(f"The first {_ROWS}; there are more.")
