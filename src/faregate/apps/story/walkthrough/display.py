"""How the walkthrough looks in a terminal: a rule for each step, a few lines for each call, red where it differs."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.status import Status
from rich.table import Table
from rich.text import Text

from faregate.apps.story.seed import INPUT, OUTPUT
from faregate.apps.story.walkthrough.record import (
    BooksRecord,
    CallRecord,
    Check,
    InvoiceRecord,
    StepRecord,
    WalkthroughRecord,
)

_INDENT = 4
_SHOWN_TEXT_CHARACTERS = 40
_SECOND_MS = 1_000


class Display:
    """Shows steps as they end, and what is going on until then."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status

    def begun(self, what: str) -> None:
        """Say what is going on."""
        self._status.update(f"[dim]{what} …[/dim]")

    def shown(self, step: StepRecord) -> None:
        """Show a step that has ended."""
        self._console.print(Rule(f"[bold]{step.step}[/bold]  {step.title}", align="left", style="cyan"))
        self._console.print(Text(step.about, style="dim"))
        for note in step.notes:
            self._console.print(Text(f"  {note}"))
        for call in step.calls:
            self._console.print(_call(call))
        for invoice in step.invoices:
            self._console.print(Padding(_invoice(invoice), (0, 0, 0, 2)))
        if step.books:
            self._console.print(Padding(_books(step.books), (0, 0, 0, 2)))
        self._console.print(_verdict(step.checks))
        self._console.print()


def summary(record: WalkthroughRecord) -> RenderableType:
    """Return the last lines: whether every amount was as calculated by hand."""
    if record.ok:
        return Text(
            f"All {record.checks} checks held, each to the last digit of docs/walkthrough.md ({record.took_s:.1f} s).",
            style="bold green",
        )
    differing = [f"{step.step}: {check.what}" for step in record.steps for check in step.checks if not check.held]
    return Text(f"{len(differing)} of {record.checks} checks differ: {'; '.join(differing)}", style="bold red")


def _call(call: CallRecord) -> RenderableType:
    answered = call.status == 200  # noqa: PLR2004 - the protocol's
    named = Text.assemble(f"  {call.customer}: ", (call.name, "bold"))
    asked = Text.assemble(
        ("  → ", "bold"),
        "POST /ai/chat  ",
        (f"{call.tokens_in:,}", "cyan"),
        " in · ",
        (f"{call.tokens_out:,}", "cyan"),
        f" out{'  streamed' if call.stream else ''}",
    )
    took = f"{call.whole_ms / _SECOND_MS:.2f} s" if call.whole_ms >= _SECOND_MS else f"{call.whole_ms:.0f} ms"
    came = Text.assemble(("  ← ", "bold"), (f"{call.status}", "bold green" if answered else "bold red"), f"  {took}  ")
    lines: list[RenderableType] = [named, asked, came]
    if call.note:
        lines.insert(0, Text(f"  {call.note}"))
    if not answered:
        came.append(f"{call.type} / {call.code}", style="red")
        lines.append(Text(f"{' ' * _INDENT}“{call.message}”", style="dim"))
    else:
        text = call.text[:_SHOWN_TEXT_CHARACTERS]
        came.append(f"(first chunk: {call.first_ms:.0f} ms)  " if call.stream else "")
        came.append(f"“{text}…”" if call.left_after_chunks is None else f"“{text}—", style="dim")
        lines.append(_charged(call))
    lines.append(_account(call))
    return Group(*lines)


def _charged(call: CallRecord) -> Text:
    line = Text(f"{' ' * _INDENT}charged ")
    for place, charge in enumerate(sorted(call.charges, key=lambda each: each.price)):
        line.append(" + " if place else "")
        free = charge.amount == "0.00"
        line.append(f"${charge.amount}", style="green" if free else "bold yellow")
        line.append(f" for {int(charge.quantity):,} {_short(charge.price)}")
    return line


def _account(call: CallRecord) -> Text:
    ahead = " · ".join(f"{int(units):,} {_short(price)}" for price, units in sorted(call.paid_ahead.items()))
    return Text.assemble(
        f"{' ' * _INDENT}balance ",
        (_dollars(call.balance), "bold"),
        f"   paid ahead {ahead or 'nothing'}",
    )


def _invoice(invoice: InvoiceRecord) -> Table:
    table = Table(
        title=f"Invoice {invoice.number} · {invoice.customer}", title_justify="left", box=None, pad_edge=False
    )
    table.add_column("", min_width=16)
    table.add_column("units", justify="right")
    table.add_column("amount", justify="right")
    for line in invoice.lines:
        table.add_row(line.price, f"{int(line.quantity):,}", f"${line.amount}")
    table.add_row("total", "", f"${invoice.total}", style="bold")
    table.add_row("paid by credit", "", f"-${invoice.credit_applied}")
    due = f"due {invoice.due_at}" if invoice.status == "open" else ""
    table.add_row(f"to pay · {invoice.status}", due, f"${invoice.amount_due}", style="bold")
    return table


def _books(books: list[BooksRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, right in (
        ("customer", False), ("price", False), ("units used", True), ("units invoiced", True),
        ("debited", True), ("invoiced", True), ("", False),
    ):  # fmt: skip
        table.add_column(name, justify="right" if right else "left")
    for row in books:
        agree = row.used == row.invoiced_quantity and row.debited == row.invoiced
        table.add_row(
            row.customer,
            row.price,
            f"{int(row.used):,}",
            f"{int(row.invoiced_quantity):,}",
            f"${row.debited}",
            f"${row.invoiced}",
            Text("✓", style="green") if agree else Text("differ", style="bold red"),
        )
    return table


def _verdict(checks: list[Check]) -> RenderableType:
    differing = [check for check in checks if not check.held]
    if not differing:
        return Text(f"  ✓ {len(checks)} as calculated by hand", style="green")
    return Group(
        *(
            Text(f"  ✗ {check.what}: calculated {check.expected}, found {check.found}", style="bold red")
            for check in differing
        )
    )


def _short(price: str) -> str:
    return {INPUT: "input", OUTPUT: "output"}.get(price, price)


def _dollars(amount: str) -> str:
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"
