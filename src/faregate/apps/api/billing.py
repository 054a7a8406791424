"""Invoices and the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final

import structlog
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.status_codes import HTTP_200_OK
from msgspec import UNSET

from faregate.apps.api.call import Call
from faregate.apps.api.customers import OfCompany
from faregate.apps.api.paging import Paging
from faregate.base.errors import InvalidInput
from faregate.base.money import currency, from_ledger_units
from faregate.domain.billing.invoice import Invoice
from faregate.services import invoices
from faregate.services.billing_tick import billing_tick
from faregate.services.business_clock import BusinessTime, advance_clock, business_now, read_clock
from faregate.services.upcoming_invoice import preview_invoice
from faregate.storage.adjustments import Adjustment, list_adjustments
from faregate.storage.database import Transaction
from faregate.wire.api.billing import (
    AdjustmentView,
    ClockAdvance,
    ClockView,
    InvoiceView,
    UpcomingInvoiceView,
    invoice_view,
)
from faregate.wire.api.common import CursorNumber, Page, plain, to_utc

OfSubscription = Annotated[str | None, QueryParameter(description="Only of this subscription.")]

_log: Final = structlog.stdlib.get_logger()

At = Annotated[
    datetime | None,
    QueryParameter(description="Of the period that holds this instant (RFC 3339); of the open one if left out."),
]


@get("/invoices", summary="List invoices", tags=["Billing"])
async def list_invoices(
    call: NamedDependency[Call], paging: NamedDependency[Paging], company_id: OfCompany = None
) -> Page[InvoiceView]:
    """Invoices, oldest first."""

    def read(transaction: Transaction) -> tuple[list[Invoice], datetime]:
        found = invoices.list_invoices(
            transaction, call.application_id, company_id=company_id, after=paging.after, limit=paging.rows
        )
        return found, business_now(transaction, call.application_id, call.backend.clock)

    rows, now = await call.read(read)
    return paging.page(rows, lambda invoice: invoice.invoice_id, lambda invoice: invoice_view(invoice, now))


@get("/invoices/{invoice_id:str}", summary="Get an invoice", tags=["Billing"])
async def get_invoice(call: NamedDependency[Call], invoice_id: FromPath[str]) -> InvoiceView:
    """Return one invoice."""

    def read(transaction: Transaction) -> InvoiceView:
        now = business_now(transaction, call.application_id, call.backend.clock)
        return invoice_view(invoices.get_invoice(transaction, call.application_id, invoice_id), now)

    return await call.read(read)


@post("/invoices/{invoice_id:str}/pay", summary="Pay an invoice", tags=["Billing"], status_code=HTTP_200_OK)
async def pay_invoice(call: NamedDependency[Call], invoice_id: FromPath[str]) -> InvoiceView:
    """Take payment of an open invoice. A company that it blocked may call again at once. A repeat changes nothing."""
    backend = call.backend
    paid = await invoices.pay_invoice(
        backend.database,
        backend.provider,
        backend.clock,
        application_id=call.application_id,
        invoice_id=invoice_id,
    )
    now = await call.read(lambda tx: business_now(tx, call.application_id, backend.clock))
    return invoice_view(paid, now)


@get("/subscriptions/{subscription_id:str}/upcoming-invoice", summary="Preview the next invoice", tags=["Billing"])
async def preview_upcoming_invoice(
    call: NamedDependency[Call], subscription_id: FromPath[str], at: At = None
) -> UpcomingInvoiceView:
    """Return the invoice of the open period as closing it now would make it, and what is still open.

    Credit is what is left after the invoices that come before it.
    """

    def read(transaction: Transaction) -> UpcomingInvoiceView:
        return preview_invoice(
            transaction,
            call.application_id,
            subscription_id,
            now=business_now(transaction, call.application_id, call.backend.clock),
            at=None if at is None else to_utc(at),
        )

    return await call.read(read)


@get("/adjustments", summary="List adjustments", tags=["Billing"])
async def list_all_adjustments(
    call: NamedDependency[Call], paging: NamedDependency[Paging], subscription_id: OfSubscription = None
) -> Page[AdjustmentView]:
    """What changed the amounts of periods that were invoiced, or credited them, oldest first."""
    (after,) = paging.place(tuple[CursorNumber]) or (0,)
    rows = await call.read(
        lambda tx: list_adjustments(
            tx, call.application_id, subscription_id=subscription_id, after=after, limit=paging.rows
        )
    )
    return paging.page(rows, lambda row: (row.adjustment_id,), _adjustment)


def _adjustment(row: Adjustment) -> AdjustmentView:
    return AdjustmentView(
        adjustment_id=row.adjustment_id,
        subscription_id=row.key.subscription_id,
        company_id=row.company_id,
        price_id=row.key.price_id,
        period_start=row.key.period_start,
        source=row.source,
        source_id=row.source_id,
        quantity=plain(row.quantity),
        amount=plain(from_ledger_units(row.amount, currency(row.currency))),
        currency=row.currency,
        created_at=row.created_at,
        billed_in_period=row.billed_in,
    )


@get("/clock", summary="Read the clock", tags=["Clock"])
async def get_clock(call: NamedDependency[Call]) -> ClockView:
    """Return the application's business time."""
    return _clock(await call.read(lambda tx: read_clock(tx, call.application_id, call.backend.clock)))


@post("/clock/advance", summary="Advance the clock", tags=["Clock"], status_code=HTTP_200_OK)
async def move_clock(call: NamedDependency[Call], data: JSONBody[ClockAdvance]) -> ClockView:
    """Move business time forward, never back. Windows, periods and overdue invoices are seen to before the answer."""
    step = _step(data)
    backend = call.backend
    moved = await backend.database.write(lambda tx: advance_clock(tx, call.application_id, backend.clock, step=step))
    try:
        await billing_tick(backend.database, backend.provider, backend.clock)
    except Exception:  # noqa: BLE001 - the clock has moved all the same, and the control plane's own tick goes on with it
        _log.exception("tick.failed", after="clock.advanced")
    return _clock(moved)


def _step(asked: ClockAdvance) -> datetime | timedelta:
    if (asked.to is UNSET) == (asked.by_seconds is UNSET):
        raise InvalidInput.of("to", "give either 'to' or 'by_seconds'")
    if asked.to is not UNSET:
        return to_utc(asked.to)
    try:
        return timedelta(seconds=0 if asked.by_seconds is UNSET else asked.by_seconds)
    except OverflowError as error:
        raise InvalidInput.of("by_seconds", "is more than time can hold") from error


def _clock(time: BusinessTime) -> ClockView:
    microseconds = Decimal(time.offset // timedelta(microseconds=1))
    return ClockView(now=time.now, ahead_by_seconds=plain((microseconds.scaleb(-6)).normalize()))


HANDLERS = [
    list_invoices,
    get_invoice,
    pay_invoice,
    preview_upcoming_invoice,
    list_all_adjustments,
    get_clock,
    move_clock,
]
