"""`faregate explain`: why an amount is what it is, from an invoice to its events and from an event to its invoice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from faregate.apps.cli.answering import Unanswerable, answered, print_json
from faregate.apps.cli.management import ask
from faregate.wire.api.billing import InvoiceView
from faregate.wire.api.common import Page
from faregate.wire.api.explanations import (
    CountedView,
    EventExplanationView,
    LineExplanationView,
    LineWindowView,
    MeterOutcomeView,
    WindowEventView,
)

T = TypeVar("T")

_INVOICE: Final = "in_"
_SHOWN_ROWS: Final = 50
_LINE_PARTS: Final = 2
_WINDOW_PARTS: Final = 3
_NO_TARGET: Final = "is not an event's id, an invoice's id, or an invoice's id with /LINE or /LINE/WINDOW"

Show = Callable[[Console], None]


def run_explain(target: str, *, api_url: str, token: str, json: bool) -> int:
    """Print what the target comes of; return 0, or 1 after printing why not."""

    def show(explained: tuple[object, Show]) -> None:
        found, show_on = explained
        if json:
            print_json(found)
        else:
            show_on(Console(highlight=False, soft_wrap=True))

    return answered(lambda: _Asking(api_url, token).find(target), api_url=api_url, show=show)


class _Asking:
    """The management API, as far as explanations need it."""

    def __init__(self, api_url: str, token: str) -> None:
        self._api_url = api_url
        self._token = token

    def find(self, target: str) -> tuple[object, Show]:
        """Return what explains the target, and how to show it; `Unanswerable` where it can be none."""
        parts = target.split("/")
        if not all(parts) or len(parts) > _WINDOW_PARTS:
            raise Unanswerable(f"{target!r} {_NO_TARGET}")
        if len(parts) == 1 and not target.startswith(_INVOICE):
            event = self._get(f"/events/{_quoted(target)}/explanation", EventExplanationView)
            return event, lambda console: _show_event(console, event)
        if len(parts) == 1:
            return self._invoice(target)
        line = f"/invoices/{_quoted(parts[0])}/lines/{_quoted(parts[1])}"
        if len(parts) == _LINE_PARTS:
            return self._line(line)
        page = self._get(f"{line}/windows/{_quoted(parts[2])}/events?limit={_SHOWN_ROWS}", Page[WindowEventView])
        return page, lambda console: _show_events(console, page)

    def _invoice(self, invoice_id: str) -> tuple[object, Show]:
        path = f"/invoices/{_quoted(invoice_id)}"
        invoice = self._get(path, InvoiceView)
        numbers = range(1, len(invoice.lines) + 1)
        lines = [self._get(f"{path}/lines/{number}/explanation", LineExplanationView) for number in numbers]

        def show(console: Console) -> None:
            period = f"{invoice.period_start:%Y-%m-%d} to {invoice.period_end:%Y-%m-%d}"
            console.print(escape(f"Invoice {invoice.number} ({invoice_id}), {invoice.company_id}, {period}"))
            for line in lines:
                _show_line(console, line)
            for discount in invoice.discounts:
                console.print(escape(f"coupon {discount.name}: -{discount.amount} {invoice.currency}"))
            console.print(
                f"total {invoice.total} {invoice.currency}, paid by credit {invoice.credit_applied},"
                f" due [bold]{invoice.amount_due}[/]"
            )

        return {"invoice": invoice, "lines": lines}, show

    def _line(self, path: str) -> tuple[object, Show]:
        line = self._get(f"{path}/explanation", LineExplanationView)
        page = self._get(f"{path}/windows?limit={_SHOWN_ROWS}", Page[LineWindowView])

        def show(console: Console) -> None:
            _show_line(console, line)
            _show_movements(console, line)
            _show_windows(console, line, page)

        return {"line": line, "windows": page}, show

    def _get(self, path: str, kind: type[T]) -> T:
        return msgspec.json.decode(ask("GET", f"{self._api_url}/api/v1{path}", self._token), type=kind)


def _show_line(console: Console, line: LineExplanationView) -> None:
    title = f"{line.line}. {line.description}: {line.quantity} units, {line.amount} {line.currency}"
    table = Table("step", "amount", "so far", title=escape(title), title_justify="left")
    for step in line.steps:
        of = f"{', '.join(step.dimension)}: " if step.dimension else ""
        table.add_row(escape(f"{of}{step.words}"), step.amount, step.subtotal)
    console.print(table)


def _show_movements(console: Console, line: LineExplanationView) -> None:
    parts = [f"{line.debited} debited by events"]
    parts += [f"{line.closing} due beyond usage"] if _is_something(line.closing) else []
    parts += [f"{line.rounding} rounding"] if _is_something(line.rounding) else []
    console.print(f"The account: {' + '.join(parts)} = {line.amount} {line.currency}.")
    if _is_something(line.changed_quantity) or _is_something(line.changed_debited):
        console.print(
            f"Since the invoice: {line.changed_quantity} units, {line.changed_debited} {line.currency};"
            " the windows below have them."
        )
    if _is_something(line.rerated):
        console.print(
            f"Re-ratings moved {line.rerated} {line.currency} of that; events show what they were charged before."
        )


def _show_windows(console: Console, line: LineExplanationView, page: Page[LineWindowView]) -> None:
    table = Table("window (UTC)", "group", "events", "quantity", f"charged {line.currency}", "name")
    for window in page.data:
        table.add_row(
            f"{window.start:%Y-%m-%d %H:%M} - {window.end:%H:%M}",
            escape(", ".join(window.group)),
            str(window.event_count),
            window.billed_quantity,
            window.amount,
            window.window,
        )
    if page.data:
        console.print(table)
        example = f"{line.invoice_id}/{line.line}/{page.data[0].window}"
        console.print(f"[dim]Its events: faregate explain {example}[/]")
    if page.next_cursor is not None:
        console.print("[dim]There are more windows; the API has them, a page at a time.[/]")


def _show_events(console: Console, page: Page[WindowEventView]) -> None:
    table = Table("event", "at (UTC)", "quantity", "charged", "ledger entry")
    for event in page.data:
        table.add_row(
            event.event_id if event.corrects is None else f"{event.event_id} takes back {event.corrects}",
            f"{event.occurred_at:%Y-%m-%d %H:%M:%S}",
            event.quantity,
            f"{event.amount} {event.currency}",
            "" if event.entry_id is None else str(event.entry_id),
        )
    console.print(table)
    if page.next_cursor is not None:
        console.print("[dim]There are more events; the API has them, a page at a time.[/]")


def _show_event(console: Console, event: EventExplanationView) -> None:
    when = "-" if event.occurred_at is None else f"{event.occurred_at:%Y-%m-%d %H:%M:%S} UTC"
    what = f"{event.event_id}  {event.request_id or ''}  {when}  {event.company_id or '-'}  {event.route or ''}"
    console.print(escape(" ".join(what.split())))
    console.print(f"[bold]{event.fate.value.replace('_', ' ')}[/]{escape(f': {event.reason}' if event.reason else '')}")
    for meter in event.meters:
        _show_meter(console, meter)
    for drawn in event.leases:
        console.print(escape(f"drew {drawn.units} units from lease {drawn.lease_id}"))


def _show_meter(console: Console, meter: MeterOutcomeView) -> None:
    console.print(f"[bold]{escape(meter.name)}[/]: {meter.outcome.value.replace('_', ' ')}")
    if meter.reason is not None:
        console.print(f"  {escape(meter.reason)}")
    for mismatch in meter.mismatches:
        actual = "missing" if mismatch.actual is None else mismatch.actual
        console.print(f"  {escape(f'{mismatch.field} is {actual}; expected {mismatch.expected}')}")
    if meter.counted is not None:
        for line in _counted_lines(meter.counted):
            console.print(f"  {escape(line)}")


def _counted_lines(counted: CountedView) -> list[str]:
    of = f" ({', '.join(counted.dimension)})" if counted.dimension else ""
    lines = [f"{counted.quantity} units of {counted.price_name}{of}: {counted.amount} {counted.currency}"]
    if counted.window_start is not None and counted.window_end is not None:
        group = f", group {', '.join(counted.group)}" if counted.group else ""
        lines.append(f"window {counted.window_start:%Y-%m-%d %H:%M} to {counted.window_end:%H:%M}{group}")
    if counted.entry is not None:
        entry = counted.entry
        lines.append(f"in ledger entry {entry.entry_id} ({entry.description} of its batch: {entry.amount})")
    if counted.taken_back is not None:
        back = counted.taken_back
        lines.append(f"taken back by {back.event_id}: {back.quantity} units, {back.amount}")
    if counted.invoice_id is not None:
        lines.append(f"on invoice {counted.invoice_id}, line {counted.invoice_line or '-'}")
    else:
        lines.append(f"billed: {counted.billed.value.replace('_', ' ')}")
    return lines


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _is_something(amount: str) -> bool:
    return bool(amount.strip("-0."))
