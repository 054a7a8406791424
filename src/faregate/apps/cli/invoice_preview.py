"""`faregate invoice preview`: what a company's next invoices will say, as it stands."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.answering import Unanswerable, answered, print_json, read_rows
from faregate.apps.cli.management import Refused, ask
from faregate.wire.api.billing import InvoiceLineView, UpcomingInvoiceView
from faregate.wire.api.common import Page
from faregate.wire.api.customers import SubscriptionView
from faregate.wire.problem import Problem


def run_invoice_preview(company_id: str, *, at: datetime | None, api_url: str, token: str, json: bool) -> int:
    """Print what the company's invoices would say; return 0, or 1 after printing why not."""

    def ask_for_all() -> list[UpcomingInvoiceView]:
        previews, refusals = [], []
        subscriptions = f"{api_url}/api/v1/subscriptions?company_id={quote(company_id, safe='')}"
        for found in read_rows(subscriptions, token, Page[SubscriptionView]):
            try:
                previews.append(_preview(found, at, api_url, token=token))
            except Refused as refused:
                if not _has_no_such_period(refused.problem):
                    raise
                refusals.append(refused)
        if refusals and not previews:
            raise refusals[-1]
        if not previews:
            raise Unanswerable(f"the company {company_id!r} has no subscription")
        return previews

    return answered(ask_for_all, api_url=api_url, show=print_json if json else _show_all)


def _has_no_such_period(problem: Problem) -> bool:
    """Return whether a subscription has nothing to preview: it has ended, or has no open period then."""
    return problem.status == HTTPStatus.NOT_FOUND or {fault.field for fault in problem.errors} == {"at"}


def _preview(found: SubscriptionView, at: datetime | None, api_url: str, *, token: str) -> UpcomingInvoiceView:
    when = "" if at is None else f"?at={quote(at.isoformat(), safe='')}"
    path = f"/api/v1/subscriptions/{found.subscription_id}/upcoming-invoice{when}"
    return msgspec.json.decode(ask("GET", f"{api_url}{path}", token), type=UpcomingInvoiceView)


def _show_all(previews: list[UpcomingInvoiceView]) -> None:
    for preview in previews:
        _show(preview)


def _show(preview: UpcomingInvoiceView) -> None:
    console = Console(highlight=False, soft_wrap=True)
    state = "closed, its invoice is on its way" if preview.closed else f"closes {preview.closes_at:%Y-%m-%d %H:%M} UTC"
    table = Table("price", "quantity", f"amount {preview.currency}", title_justify="left")
    table.title = (
        f"{escape(preview.company_id)}, {preview.period_start:%Y-%m-%d} to {preview.period_end:%Y-%m-%d} ({state})"
    )
    for line in preview.lines:
        table.add_row(escape(line.description), line.quantity, line.amount)
        for words, amount in _parts(line):
            table.add_row(f"[dim]  {escape(words)}[/]", "", f"[dim]{amount}[/]")
    table.add_section()
    for discount in preview.discounts:
        table.add_row(f"coupon {escape(discount.name)}", "", f"-{discount.amount}")
    table.add_row("total", "", preview.total)
    table.add_row("paid by credit", "", preview.credit_applied)
    table.add_row("[bold]due[/]", "", f"[bold]{preview.amount_due}[/]")
    console.print(table)
    console.print(_still_open(preview))


def _parts(line: InvoiceLineView) -> list[tuple[str, str]]:
    """Return the parts of a line that has several; one alone says what the line says."""
    parts = []
    for part in line.parts if len(line.parts) > 1 else ():
        tier = "" if part.tier is None else f" {part.tier}"
        of = f" of {', '.join(part.dimension)}" if part.dimension else ""
        units = "" if part.quantity is None else f": {part.quantity} units"
        parts.append((f"{part.kind.value.replace('_', ' ')}{tier}{of}{units}", part.amount))
    return parts


def _still_open(preview: UpcomingInvoiceView) -> str:
    open_parts = []
    if preview.open_windows:
        open_parts.append(f"{preview.open_windows} windows not reported yet")
    leased = sum(held.units for held in preview.units_in_leases)
    if leased:
        open_parts.append(f"{leased} units held for running calls")
    if preview.events_to_apply:
        open_parts.append(f"{preview.events_to_apply} events not metered yet")
    return f"Still open: {', '.join(open_parts)}." if open_parts else "Nothing is open."
