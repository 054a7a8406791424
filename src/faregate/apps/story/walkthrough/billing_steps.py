"""Steps i to l: the month's end, overdue, paid, and the books compared."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from faregate.apps.story.walkthrough import expected
from faregate.apps.story.walkthrough.expected import INVOICES, POSTPAID, ExpectedInvoice
from faregate.apps.story.walkthrough.record import BooksRecord, Charge, InvoiceRecord, StepRecord
from faregate.apps.story.walkthrough.scene import SETTLED_WITHIN_S, Scene
from faregate.wire.api.billing import ClockView, InvoiceView
from faregate.wire.api.common import Page
from faregate.wire.api.meters import MeterView
from faregate.wire.api.readings import LedgerEntryView, UsageView

_AFTER: Final = timedelta(minutes=10)
"""Beyond the grace of a closed window, and beyond any window that spans the border."""

_CLOSED_WITHIN_S: Final = 60.0


async def close_month(scene: Scene) -> StepRecord:
    """Advance the clock beyond the period's end: both customers get an invoice."""
    step = StepRecord(
        step="i",
        title="The month's end",
        about="The clock is advanced. Every line is rounded up to packages once. Acme's credit pays for Acme's.",
    )
    ends = [price.period_end for price in (await scene.balance(POSTPAID)).prices]
    now = await _advance(scene, to=max(ends) + _AFTER)
    step.notes.append(f"business time is now {now:%Y-%m-%d %H:%M} UTC")
    for wanted in INVOICES:
        scene.begun(f"the invoice of {wanted.company}")
        found = await scene.management.until(
            "/invoices",
            Page[InvoiceView],
            query={"company_id": wanted.company},
            reached=lambda page: bool(page.data),
            within_s=_CLOSED_WITHIN_S,
        )
        step.check(f"{wanted.company}: invoices", expected=1, found=len(found.data))
        for invoice in found.data:
            await _check_invoice(scene, step, invoice=invoice, wanted=wanted)
    return step


async def fall_overdue(scene: Scene) -> StepRecord:
    """Advance the clock beyond the due time: only then is the customer blocked."""
    step = StepRecord(
        step="j",
        title="Overdue",
        about="An open invoice blocks nobody before its due time; an overdue one blocks, by the second rule.",
    )
    invoice = await _invoice_of(scene, POSTPAID)
    await scene.call(step, POSTPAID, expected.BEFORE_DUE)
    now = await _advance(scene, to=invoice.due_at + _AFTER)
    overdue = await scene.management.until(
        f"/invoices/{invoice.invoice_id}", InvoiceView, reached=lambda found: found.overdue, within_s=SETTLED_WITHIN_S
    )
    step.check("overdue", expected=True, found=overdue.overdue)
    refused = await scene.refused(
        step, POSTPAID, name="a call past the due time", tokens=expected.SMALL, code="invoice_overdue"
    )
    refused.note = f"due {invoice.due_at:%Y-%m-%d %H:%M} UTC; the clock is advanced to {now:%Y-%m-%d %H:%M}"
    return step


async def pay(scene: Scene) -> StepRecord:
    """Pay the invoice: the next call passes."""
    step = StepRecord(
        step="k", title="Paid", about="The payment takes the customer out of the cohort; nothing else is to be done."
    )
    invoice = await _invoice_of(scene, POSTPAID)
    paid = await scene.management.post(f"/invoices/{invoice.invoice_id}/pay", {}, InvoiceView)
    step.check("status", expected="paid", found=paid.status.value)
    step.notes.append(f"invoice {paid.number}, ${paid.amount_due}: {paid.status.value}")
    await scene.call(step, POSTPAID, expected.AFTER_PAYING)
    return step


async def compare_books(scene: Scene) -> StepRecord:
    """Compare usage, ledger and invoice of the first period, line by line."""
    step = StepRecord(
        step="l",
        title="The books",
        about="Three books of the first period: metered usage, the ledger's debits, and the invoices. They agree.",
    )
    for wanted in INVOICES:
        invoice = await _invoice_of(scene, wanted.company)
        usage = await _usage(scene, wanted.company, invoice)
        debits = await _debits(scene, wanted.company, invoice.period_start)
        for line in invoice.lines:
            price = scene.prices[line.price_id]
            books = BooksRecord(
                customer=wanted.company,
                price=price,
                used=usage[price],
                invoiced_quantity=line.quantity,
                debited=debits[price],
                invoiced=line.amount,
            )
            step.books.append(books)
            step.check(
                f"{wanted.company}, {price}: used = invoiced", expected=books.invoiced_quantity, found=books.used
            )
            step.check(f"{wanted.company}, {price}: debited = invoiced", expected=books.invoiced, found=books.debited)
    return step


async def _check_invoice(scene: Scene, step: StepRecord, *, invoice: InvoiceView, wanted: ExpectedInvoice) -> None:
    lines = [
        Charge(price=scene.prices[line.price_id], quantity=line.quantity, amount=line.amount) for line in invoice.lines
    ]
    step.invoices.append(
        InvoiceRecord(
            number=invoice.number,
            customer=invoice.company_id,
            lines=lines,
            total=invoice.total,
            credit_applied=invoice.credit_applied,
            amount_due=invoice.amount_due,
            status=invoice.status.value,
            due_at=f"{invoice.due_at:%Y-%m-%d %H:%M} UTC",
        )
    )
    who = wanted.company
    found = {line.price: line for line in lines}
    step.check(f"{who}: lines", expected=len(wanted.lines), found=len(lines))
    for line in wanted.lines:
        charged = found.get(line.price)
        step.check(f"{who}: {line.price}, units", expected=line.quantity, found=charged and charged.quantity)
        step.check(f"{who}: {line.price}, amount", expected=line.amount, found=charged and charged.amount)
    for name in ("total", "credit_applied", "amount_due"):
        step.check(f"{who}: {name}", expected=getattr(wanted, name), found=getattr(invoice, name))
    step.check(f"{who}: status", expected=wanted.status, found=invoice.status.value)
    account = await scene.balance_once(who, lambda view: view.balance == wanted.balance)
    step.check(f"{who}: balance afterwards", expected=wanted.balance, found=account.balance)


async def _advance(scene: Scene, *, to: datetime) -> datetime:
    scene.begun("advancing the clock")
    clock = await scene.management.post("/clock/advance", {"to": to}, ClockView)
    return clock.now


async def _invoice_of(scene: Scene, company_id: str) -> InvoiceView:
    return (await scene.management.every("/invoices", InvoiceView, {"company_id": company_id}))[0]


async def _usage(scene: Scene, company_id: str, invoice: InvoiceView) -> dict[str, str]:
    """Return the metered units up to the period's end by price; the next period's calls come windows later."""
    meters = {
        meter.meter_id: scene.prices[meter.price_id] for meter in await scene.management.every("/meters", MeterView)
    }
    query = {"company_id": company_id, "granularity": "total", "to": invoice.period_end.isoformat()}
    rows = await scene.management.every("/usage", UsageView, query)
    return {meters[row.meter_id]: row.quantity for row in rows}


async def _debits(scene: Scene, company_id: str, period_start: datetime) -> dict[str, str]:
    """Return what the ledger debited in a period by price: all entries of the price, rounding included, as one sum."""
    path = f"/subscriptions/{scene.customers[company_id].subscription_id}/ledger"
    sums: dict[str, Decimal] = {}
    for entry in await scene.management.every(path, LedgerEntryView):
        if entry.price_id is not None and entry.period_start == period_start:
            price = scene.prices[entry.price_id]
            sums[price] = sums.get(price, Decimal("0.00")) - Decimal(entry.amount)
    return {price: f"{amount:.2f}" if amount == round(amount, 2) else str(amount) for price, amount in sums.items()}
