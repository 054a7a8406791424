"""Bars about the billing provider, held against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator

from bench import limits
from bench.bar import Row, Run
from bench.reporter import CUSTOMERS, REPORTS, measure
from bench.year import __main__ as year

_QUICK_REPORTS = 1_500
_QUICK_CUSTOMERS = 60
_SHOWN_FAULTS = 5


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


def hold_year(run: Run) -> Iterator[Row]:
    """Bill customers for months on the clock, with a provider that fails and processes that die."""
    run.show("months on the clock")
    is_quick = run.limits is limits.QUICK
    found = year.run_year(
        customers=year.QUICK_CUSTOMERS if is_quick else year.CUSTOMERS,
        months=year.QUICK_MONTHS if is_quick else year.MONTHS,
        seed=run.seed,
    )
    shown = "".join(f"; {fault}" for fault in found.faults[:_SHOWN_FAULTS])
    yield Row(
        bar=f"{found.months} months of {found.customers} customers, calls failing, answers lost, kill -9",
        measured=f"{found.invoices} invoices, {found.reports:,} reports, {found.top_ups} top-ups; {found.failed} calls "
        f"failed, {found.deaths} deaths: {len(found.faults)} faults{shown}",
        limit="0 faults: totals to the cent, one meter event a revision, top-ups charged and nothing else",
        held=not found.faults,
        command=f"{run.command('year')} --seed {run.seed}",
    )
