"""`faregate usage-reports`: a line for each report, and sending those again that failed."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from faregate.apps.cli.answering import answered, print_json
from faregate.apps.cli.management import ask
from faregate.wire.api.common import Page
from faregate.wire.api.usage_reports import UsageReportView

_ROWS: Final = 200


def run_usage_reports(*, status: str | None, resend: str | None, api_url: str, token: str, json: bool) -> int:
    """Send again what is named, then print reports. Return 0, or 1 after saying why not."""
    return answered(
        lambda: _run(status, resend, f"{api_url}/api/v1/usage-reports", token=token),
        api_url=api_url,
        show=print_json if json else _show,
    )


def _run(status: str | None, resend: str | None, url: str, *, token: str) -> Page[UsageReportView]:
    if resend is not None:
        ask("POST", f"{url}/resend" if resend == "all" else f"{url}/{quote(resend, safe='')}/resend", token)
    query = {"limit": str(_ROWS)} | ({} if status is None else {"status": status})
    return msgspec.json.decode(ask("GET", f"{url}?{urlencode(query)}", token), type=Page[UsageReportView])


def _show(found: Page[UsageReportView]) -> None:
    for row in found.data:
        error = "" if row.last_error is None else f": {row.last_error}"
        print(
            f"{row.report_id} {row.status.value}: {row.value} units of {row.price_id} by {row.company_id}"
            f" at {row.usage_at:%Y-%m-%d %H:%M} UTC, failed {row.attempts} times{error}"
        )
    if not found.data:
        print("No such report.")
    if found.next_cursor is not None:
        print(f"The first {_ROWS}; there are more.")
