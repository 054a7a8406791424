"""What the next invoice would say if its period closed now: the lines of closing a period, without closing it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from faregate.base.errors import InvalidInput, NotFound
from faregate.base.limits import MAX_PERIODS_AHEAD, WINDOW_CLOSE_GRACE
from faregate.base.money import from_minor_units
from faregate.base.periods import Period
from faregate.domain.billing.invoice import Invoice
from faregate.domain.customers.subscription import Subscription
from faregate.services.close_period import InvoiceCredit, close_bill, close_message, invoice_line
from faregate.services.discounts import invoice_discounts
from faregate.services.provider_messages import PERIOD_CLOSE, PeriodCloseMessage, decode_message
from faregate.services.subscriptions import find_existing
from faregate.storage.billing import invoices_of_subscription
from faregate.storage.closing import totals_of_period
from faregate.storage.database import Transaction
from faregate.storage.ledger import PriceTotal
from faregate.storage.outbox import waiting_payloads
from faregate.storage.subscriptions import SubscriptionRow
from faregate.storage.unsettled import count_unapplied_events, count_unreported_windows
from faregate.wire.api.billing import UnitsInLeasesView, UpcomingInvoiceView, discount_views, invoice_line_view
from faregate.wire.api.common import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Closes:
    """Periods that have no invoice yet, in order; the last is the one that is asked for."""

    messages: list[PeriodCloseMessage]
    is_closed: bool
    totals: list[PriceTotal]


def preview_invoice(
    transaction: Transaction, application_id: str, subscription_id: str, *, now: datetime, at: datetime | None
) -> UpcomingInvoiceView:
    """Return the invoice of the open period, or of the period that holds `at`, as its close would make it now.

    Credit is what is left once the invoices that come before it have taken theirs. Raises `NotFound` where the
    subscription has no period any more, and `InvalidInput` on `at` where none holds it, or where it is invoiced.
    """
    row = find_existing(transaction, application_id, subscription_id)
    subscription = row.subscription
    period = _period(subscription, row.billed_until, at)
    invoices = invoices_of_subscription(transaction, subscription_id)
    _require_not_invoiced(invoices, period)
    closes = _closes(transaction, row, period, now=now)
    credit = InvoiceCredit.of(transaction, subscription, earlier=invoices, period=period).most
    applied = 0
    for message in closes.messages:
        credit -= applied
        applied = max(0, min(credit, message.total))
    asked = closes.messages[-1]
    return _view(transaction, row, asked, applied=applied, closes=closes, earlier=invoices)


def _period(subscription: Subscription, billed_until: datetime, at: datetime | None) -> Period:
    period = subscription.period_at(billed_until if at is None else at)
    if period is not None:
        return period
    if at is None:
        raise NotFound("open period of subscription", subscription.subscription_id)
    raise InvalidInput.of("at", "must be an instant between the subscription's start and its end")


def _require_not_invoiced(invoices: list[Invoice], period: Period) -> None:
    for invoice in invoices:
        if invoice.period.start == period.start:
            raise InvalidInput.of("at", f"is in a period that is invoiced: read the invoice {invoice.invoice_id}")


def _closes(transaction: Transaction, row: SubscriptionRow, period: Period, *, now: datetime) -> _Closes:
    """Return what closes before the period and what closing it says; a closed one stays as it was written down."""
    subscription = row.subscription
    waiting = [
        message
        for payload in waiting_payloads(transaction, subscription.subscription_id, PERIOD_CLOSE)
        if isinstance(message := decode_message(PERIOD_CLOSE, payload), PeriodCloseMessage)
        and message.period_start <= period.start
    ]
    if period.start < row.billed_until:
        if not waiting or waiting[-1].period_start != period.start:
            waiting.append(_nothing(subscription, period, now))
        return _Closes(messages=waiting, is_closed=True, totals=[])
    ahead: list[PeriodCloseMessage] = []
    totals: list[PriceTotal] = []
    bill = None
    for each in _periods(subscription, row.billed_until, period):
        totals = totals_of_period(transaction, subscription.subscription_id, each.start)
        bill = close_bill(transaction, subscription, each, totals=totals, after=bill)
        ahead.append(close_message(transaction, subscription, each, bill=bill, now=now, after=ahead))
    return _Closes(messages=[*waiting, *ahead], is_closed=False, totals=totals)


def _nothing(subscription: Subscription, period: Period, now: datetime) -> PeriodCloseMessage:
    return PeriodCloseMessage(
        subscription_id=subscription.subscription_id,
        period_start=period.start,
        period_end=period.end,
        issued_at=now,
        lines=(),
    )


def _periods(subscription: Subscription, start: datetime, last: Period) -> list[Period]:
    """Return the periods from an instant up to the last one; `InvalidInput` on `at` where there are too many."""
    periods: list[Period] = []
    while not periods or periods[-1].start < last.start:
        if len(periods) > MAX_PERIODS_AHEAD:
            raise InvalidInput.of("at", f"must be at most {MAX_PERIODS_AHEAD} periods ahead of the open one")
        period = subscription.period_at(periods[-1].end if periods else start)
        if period is None:
            break
        periods.append(period)
    return periods


def _view(
    transaction: Transaction,
    row: SubscriptionRow,
    message: PeriodCloseMessage,
    *,
    applied: int,
    closes: _Closes,
    earlier: list[Invoice],
) -> UpcomingInvoiceView:
    subscription = row.subscription
    unit = subscription.currency
    # As the provider orders them: what it rates itself, then what it takes as it is.
    lines = [invoice_line(line, earlier=earlier) for line in sorted(message.lines, key=lambda line: line.rated)]
    return UpcomingInvoiceView(
        subscription_id=subscription.subscription_id,
        company_id=subscription.company_id,
        currency=unit.code,
        period_start=message.period_start,
        period_end=message.period_end,
        closes_at=message.period_end + WINDOW_CLOSE_GRACE,
        closed=closes.is_closed,
        lines=[invoice_line_view(line, unit) for line in lines],
        subtotal=plain(from_minor_units(sum(line.amount for line in lines), unit)),
        discounts=discount_views(invoice_discounts(message.discounts), unit),
        total=plain(from_minor_units(message.total, unit)),
        credit_applied=plain(from_minor_units(applied, unit)),
        amount_due=plain(from_minor_units(message.total - applied, unit)),
        open_windows=0
        if closes.is_closed
        else count_unreported_windows(transaction, subscription.subscription_id, message.period_start),
        units_in_leases=[
            UnitsInLeasesView(price_id=total_of.key.price_id, units=total_of.outstanding)
            for total_of in closes.totals
            if total_of.outstanding
        ],
        events_to_apply=count_unapplied_events(transaction),
    )
