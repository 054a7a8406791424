"""The commands about usage at the billing provider. Each imports what it runs when it runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from cyclopts import Parameter

from faregate.apps.cli import options

Status = Literal["waiting", "sent", "refused", "lost", "too_old", "fraction"]


def usage_reports(
    *,
    status: Annotated[Status | None, Parameter(help="Only reports of this status.")] = None,
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


def reconcile(
    *,
    from_: Annotated[datetime | None, Parameter(name="--from", help="From this day on, in UTC.")] = None,
    to: Annotated[datetime | None, Parameter(help="Up to this hour, in UTC; an hour ago.")] = None,
    json: Annotated[bool, Parameter(help="Print one JSON document.", negative=())] = False,
    api_url: options.ControlPlaneUrl = options.CONTROL_PLANE_URL,
    api_token: options.ApiToken = None,
    data: options.Data = options.DATA,
) -> int:
    """Compare usage in the ledger, in what was reported, and at the billing provider: the last 35 days.

    Prints a line for each window that differs, with its reports and events, and then ends with status 1. What it finds
    is kept.

    For example:

    ```
    faregate reconcile
    faregate reconcile --from 2026-03-01 --to 2026-04-01
    ```
    """
    from faregate.apps.cli.reconciling import run_reconcile

    return run_reconcile(
        from_at=None if from_ is None else options.in_utc(from_),
        to_at=None if to is None else options.in_utc(to),
        api_url=api_url.rstrip("/"),
        token=options.find_token(api_token, data),
        json=json,
    )
