"""The commands about usage at the billing provider. Each imports what it runs when it runs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from faregate.apps.cli import options
from faregate.wire.api.usage_reports import UsageReportStatus


def usage_reports(
    *,
    status: Annotated[UsageReportStatus | None, Parameter(help="Only reports of this status.")] = None,
    resend: Annotated[str | None, Parameter(help="A report to send again, by its id, or 'all' that failed.")] = None,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Show what the billing provider is told of usage, a window at a time, and what became of it.

    A report that was refused, or lost after it was taken, waits until what is wrong is mended; --resend sends it again.

    For example:

    ```
    faregate usage-reports --status refused
    faregate usage-reports --resend all
    ```
    """
    from faregate.apps.cli.usage_report_list import run_usage_reports

    return run_usage_reports(
        status=status,
        resend=resend,
        api_url=api_url.rstrip("/"),
        token=options.find_token(api_token, data),
        json=json,
    )
