"""Bars about the billing provider, held against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

from bench import limits
from bench.bar import Row, Run
from bench.reporter import CUSTOMERS, REPORTS, measure

_QUICK_REPORTS = 1_500
_QUICK_CUSTOMERS = 60


def hold_reporter(run: Run) -> Iterator[Row]:
    """Report usage to a sandbox in another process."""
    run.show("reports of usage to the sandbox")
    is_quick = run.limits is limits.QUICK
    found = measure(
        reports=_QUICK_REPORTS if is_quick else REPORTS, customers=_QUICK_CUSTOMERS if is_quick else CUSTOMERS
    )
    yield Row(
        bar="reports of usage to the sandbox over HTTP, one customer failing",
        measured=f"{found.reports_per_s:,.0f}/s, {found.cpu_ms} ms of CPU each; {found.reports:,} reports of "
        f"{found.customers} customers, {'exact' if found.exact else 'WRONG'}, "
        f"{'no other delayed' if found.failing_held else 'OTHERS DELAYED'}",
        limit=f"at least {run.limits.least_reports_per_s:g}/s, exact, no other customer delayed",
        held=found.exact and found.failing_held and found.reports_per_s >= run.limits.least_reports_per_s,
        command=run.command("reporter"),
    )
