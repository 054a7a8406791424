"""End billing periods and keep the invoices that come of them.

Two transactions, with the provider's answer between them:

    end_periods      freezes the period's totals: reports its last windows, writes what the invoice must say behind them
                     in the outbox, and begins the next period; what moves the period later is an adjustment
    record_invoice   compares the provider's lines with ours and moves the debt from the account to the invoice

A crash between them repeats the provider's call, which answers with the same invoice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

import structlog

from faregate.base.clock import to_microseconds
from faregate.base.errors import Conflict
from faregate.base.limits import UNRETURNED_UNITS_GRACE, WINDOW_CLOSE_GRACE
from faregate.base.money import from_ledger_units, minor_to_ledger_units, quantize
from faregate.base.periods import Period
from faregate.domain.billing.invoice import Invoice, InvoiceLine, closing_entries
from faregate.domain.billing.provider import ProviderInvoice
from faregate.domain.catalog.price import Price
from faregate.domain.customers.subscription import Subscription
from faregate.domain.pricing.breakdown import line_parts
from faregate.domain.pricing.rating import is_due_without_usage, line_amount
from faregate.services.accounts import refresh_accounts
from faregate.services.adjustments import PeriodBill, bill_period, keep_bill
from faregate.services.close_windows import report_windows
from faregate.services.discounts import expected_discounts, invoice_discounts, post_discounts, use_coupons
from faregate.services.membership import refresh_membership
from faregate.services.posting import cross_borders, post_entry
from faregate.services.provider_messages import PERIOD_CLOSE, ExpectedLine, PeriodCloseMessage, encode_message
from faregate.services.provider_prices import is_rated_by_provider
from faregate.storage.billing import insert_invoice, invoices_of_subscription
from faregate.storage.closing import (
    OpenPeriod,
    is_being_rerated,
    move_billed_until,
    open_periods,
    totals_of_period,
    unreported_windows_of_period,
)
from faregate.storage.database import Transaction
from faregate.storage.ledger import EntryKind, NewEntry, PriceTotal, credit_posted, read_account
from faregate.storage.metered import read_all_prices
from faregate.storage.outbox import add_to_outbox

_log = structlog.get_logger(__name__)


def ended_period(open_period: OpenPeriod, now: datetime) -> Period | None:
    """Return the open period if it is over and its grace too at the business time `now`."""
    period = open_period.subscription.period_at(open_period.billed_until)
    return period if period is not None and period.end + WINDOW_CLOSE_GRACE <= now else None


def end_periods(transaction: Transaction, subscription_id: str, *, now: datetime) -> int:
    """End every period of a subscription that is over, in order; return how many.

    A period with units still out in leases waits for them, up to `UNRETURNED_UNITS_GRACE`: a call that began in it
    should be charged to it. One whose prices are being re-rated waits too. One without usage makes no invoice, unless
    a price costs something without it.
    """
    # Locks the totals; credit that ended by now must not pay the invoice.
    cross_borders(transaction, [subscription_id], now=now)
    open_period = open_periods(transaction, [subscription_id])[subscription_id]
    if is_being_rerated(transaction, open_period.subscription.plan_id):
        return 0
    ended = 0
    while (period := ended_period(open_period, now)) is not None:
        totals = totals_of_period(transaction, subscription_id, period.start)
        if any(total.outstanding for total in totals) and now < period.end + UNRETURNED_UNITS_GRACE:
            break
        _freeze(transaction, open_period, period, totals=totals, now=now)
        open_period = OpenPeriod(
            application_id=open_period.application_id, subscription=open_period.subscription, billed_until=period.end
        )
        ended += 1
    if ended:
        refresh_accounts(transaction, subscription_ids=[subscription_id], now=now)
    return ended


def _freeze(
    transaction: Transaction, open_period: OpenPeriod, period: Period, *, totals: list[PriceTotal], now: datetime
) -> None:
    subscription_id = open_period.subscription.subscription_id
    report_windows(transaction, unreported_windows_of_period(transaction, subscription_id, period.start), now=now)
    bill = close_bill(transaction, open_period.subscription, period, totals=totals)
    keep_bill(transaction, bill, period_start=period.start)
    message = close_message(transaction, open_period.subscription, period, bill=bill, now=now)
    if message.lines:
        use_coupons(transaction, message.discounts)
        add_to_outbox(
            transaction,
            application_id=open_period.application_id,
            kind=PERIOD_CLOSE,
            key=f"{PERIOD_CLOSE}:{subscription_id}:{to_microseconds(period.start)}",
            subscription_id=subscription_id,
            payload=encode_message(message),
            now=now,
        )
    move_billed_until(transaction, subscription_id, period.end)


def close_bill(
    transaction: Transaction,
    subscription: Subscription,
    period: Period,
    *,
    totals: list[PriceTotal],
    after: PeriodBill | None = None,
) -> PeriodBill:
    """Return what the invoice of a period must say if it is closed with these totals; writes nothing.

    The preview of an invoice is this too, so that the two cannot differ. `after`: the bill of the period before, where
    that is not closed either.
    """
    lines = _expected_lines(transaction, subscription, period, totals=totals)
    return bill_period(transaction, subscription, period_start=period.start, lines=lines, after=after)


def close_message(
    transaction: Transaction,
    subscription: Subscription,
    period: Period,
    *,
    bill: PeriodBill,
    now: datetime,
    after: Sequence[PeriodCloseMessage] = (),
) -> PeriodCloseMessage:
    """Return the message that closes a period, with what coupons take off it; writes nothing.

    `after`: messages of the periods before, where those are not closed either.
    """
    return PeriodCloseMessage(
        subscription_id=subscription.subscription_id,
        period_start=period.start,
        period_end=period.end,
        issued_at=now,
        lines=bill.lines,
        discounts=expected_discounts(
            transaction,
            subscription.subscription_id,
            period,
            subtotal=sum(line.amount for line in bill.lines),
            ahead=[discount for message in after for discount in message.discounts],
        ),
    )


def _expected_lines(
    transaction: Transaction, subscription: Subscription, period: Period, *, totals: list[PriceTotal]
) -> tuple[ExpectedLine, ...]:
    """Return a line for every price that was used, and for what the period owes without usage, in price order.

    What is due without usage is so by the version that was in force as the period began.
    """
    prices = read_all_prices(transaction)
    used = {total.key.price_id: total for total in totals if total.is_used}
    due = {price_id: subscription.version_paid(prices, price_id, period_start=period.start) for price_id in used}
    for series in prices.of_plan(subscription.plan_id):
        price = subscription.price_of(series, at=period.start, period=period)
        if is_due_without_usage(price) and subscription.can_use(period.start):
            due[price.price_id] = price
    return tuple(_expected(price, used.get(price_id)) for price_id, price in sorted(due.items()))


def _expected(price: Price, total: PriceTotal | None) -> ExpectedLine:
    totals = {} if total is None else total.totals
    closing, rounding = closing_entries(price, totals)
    return ExpectedLine(
        price_id=price.price_id,
        quantity=Decimal(0) if total is None else total.settled,
        amount=line_amount(price, totals),
        rated=not is_rated_by_provider(price),
        description=price.name,
        closing=closing,
        rounding=rounding,
        parts=tuple(line_parts(price, totals)),
        totals=tuple(sorted(totals.items())),
    )


def record_invoice(
    transaction: Transaction, expected: PeriodCloseMessage, issued: ProviderInvoice, *, now: datetime
) -> Invoice:
    """Keep a closed period's invoice, make its debits equal its lines, and move what is due out of the account.

    All in this transaction. A repeat changes nothing. Raises `Conflict` on `invoice`, and logs both figures, where the
    provider's invoice is not what our totals and grants come to; nothing is written then.
    """
    account = read_account(transaction, expected.subscription_id)
    earlier = invoices_of_subscription(transaction, expected.subscription_id)
    for standing in earlier:
        if standing.period == expected.period:
            return standing
    subscription = open_periods(transaction, [expected.subscription_id])[expected.subscription_id].subscription
    _require_equal(
        expected, issued, InvoiceCredit.of(transaction, subscription, earlier=earlier, period=expected.period)
    )
    invoice = _invoice(issued, subscription, expected=expected, earlier=earlier)
    insert_invoice(transaction, account.application_id, invoice)
    _post_closing(transaction, account.application_id, subscription=subscription, expected=expected, invoice=invoice)
    refresh_accounts(transaction, subscription_ids=[subscription.subscription_id], now=now)
    refresh_membership(
        transaction, application_id=account.application_id, company_ids=[subscription.company_id], now=now
    )
    return invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceCredit:
    """Minor units of credit that an invoice may use: what comes or goes after the period's end may count or not."""

    most: int
    least: int

    by_the_end: int

    @classmethod
    def of(
        cls, transaction: Transaction, subscription: Subscription, *, earlier: list[Invoice], period: Period
    ) -> InvoiceCredit:
        """Return the credit that a period's invoice may use, after the earlier invoices of the subscription.

        `by_the_end`: what stood at the period's end, which is neither the most nor the least.
        """
        posted = credit_posted(transaction, subscription.subscription_id)
        used = sum(invoice.credit_applied for invoice in earlier)
        unit = subscription.currency

        def left(units: int) -> int:
            return max(0, quantize(from_ledger_units(units, unit), unit.minor_places, ROUND_FLOOR) - used)

        return cls(
            most=left(sum(amount for at, amount in posted if amount > 0 or at < period.end)),
            least=left(sum(amount for at, amount in posted if amount < 0 or at < period.end)),
            by_the_end=left(sum(amount for at, amount in posted if at < period.end)),
        )


def credit_for_invoice(transaction: Transaction, subscription: Subscription, expected: PeriodCloseMessage) -> int:
    """Return the minor units of credit that pay a period's invoice by our ledger; below zero what it gives back.

    All earlier invoices of the subscription are recorded.
    """
    earlier = invoices_of_subscription(transaction, subscription.subscription_id)
    credit = InvoiceCredit.of(transaction, subscription, earlier=earlier, period=expected.period)
    return min(expected.total, credit.by_the_end)


def _require_equal(expected: PeriodCloseMessage, issued: ProviderInvoice, credit: InvoiceCredit) -> None:
    ours = {line.line_id: (line.quantity, line.amount) for line in expected.lines}
    theirs = {line.price: (line.quantity, line.amount) for line in issued.lines}
    our_discounts = {discount.redemption_id: discount.amount for discount in expected.discounts}
    their_discounts = {discount.coupon: discount.amount for discount in issued.discounts}
    total = expected.total
    credit_range = (min(total, credit.least), min(total, credit.most))
    equal = ours == theirs and our_discounts == their_discounts and issued.total == total
    if equal and _adds_up(issued, credit_range):
        return
    _log.error(
        "invoice.differed",
        invoice_id=issued.id,
        subscription_id=expected.subscription_id,
        period_start=expected.period_start.isoformat(),
        our_lines=_figures(ours),
        provider_lines=_figures(theirs),
        our_discounts=our_discounts,
        provider_discounts=their_discounts,
        our_total=total,
        provider_total=issued.total,
        our_credit=credit_range,
        provider_credit=issued.credit_applied,
    )
    raise Conflict(
        "invoice",
        f"the provider's invoice {issued.number} says {_figures(theirs)}, discounts {their_discounts},"
        f" total {issued.total}, credit {issued.credit_applied};"
        f" our ledger {_figures(ours)}, discounts {our_discounts},"
        f" total {total}, credit {credit_range[0]} to {credit_range[1]}",
    )


def _adds_up(issued: ProviderInvoice, credit_range: tuple[int, int]) -> bool:
    least, most = credit_range
    return least <= issued.credit_applied <= most and issued.credit_applied + issued.amount_due == issued.total


def _figures(lines: Mapping[str, tuple[Decimal, int]]) -> dict[str, str]:
    return {price_id: f"{quantity:f} units = {amount}" for price_id, (quantity, amount) in sorted(lines.items())}


def invoice_line(line: ExpectedLine, *, earlier: list[Invoice]) -> InvoiceLine:
    """Return a line as invoices keep it; an adjustment's names the invoice that it adjusts, of the earlier ones."""
    adjusted = next((invoice.invoice_id for invoice in earlier if invoice.period.start == line.adjusts), None)
    return InvoiceLine(
        price_id=line.price_id,
        description=line.description,
        quantity=line.quantity,
        amount=line.amount,
        parts=line.parts,
        adjusts=line.adjusts,
        adjusted_invoice_id=adjusted,
        totals=line.totals,
    )


def _invoice(
    issued: ProviderInvoice, subscription: Subscription, *, expected: PeriodCloseMessage, earlier: list[Invoice]
) -> Invoice:
    """Return the provider's invoice, whose lines are ours, in its order and words."""
    ours = {line.line_id: line for line in expected.lines}
    lines = [
        replace(invoice_line(ours[line.price], earlier=earlier), description=line.description) for line in issued.lines
    ]
    return Invoice(
        invoice_id=issued.id,
        number=issued.number,
        subscription_id=subscription.subscription_id,
        company_id=subscription.company_id,
        currency=subscription.currency.code,
        period=issued.period,
        lines=tuple(lines),
        total=issued.total,
        credit_applied=issued.credit_applied,
        amount_due=issued.amount_due,
        status=issued.status,
        issued_at=issued.created,
        due_at=issued.due_date,
        paid_at=issued.paid_at,
        discounts=invoice_discounts(expected.discounts),
    )


def _post_closing(
    transaction: Transaction,
    application_id: str,
    *,
    subscription: Subscription,
    expected: PeriodCloseMessage,
    invoice: Invoice,
) -> None:
    """Post what makes each line's debits equal to it, what coupons take off, and what moves the debt to the invoice."""
    period = to_microseconds(expected.period_start)
    for line in expected.lines:
        of = "" if line.adjusts is None else f":adjusts:{to_microseconds(line.adjusts)}"
        for kind, difference, words in (
            (EntryKind.CLOSING, line.closing, "due at the period's end beyond usage"),
            (EntryKind.ROUNDING, line.rounding, f"rounding of invoice {invoice.number}"),
        ):
            if difference:
                post_entry(
                    transaction,
                    NewEntry(
                        application_id=application_id,
                        subscription_id=subscription.subscription_id,
                        kind=kind,
                        amount=-difference,
                        caller_id=f"{kind.value}:{line.price_id}:{period}{of}",
                        description=words,
                        occurred_at=invoice.issued_at,
                        price_id=line.price_id,
                        period_start=line.adjusts or expected.period_start,
                    ),
                )
    post_discounts(transaction, application_id, subscription=subscription, invoice=invoice)
    if invoice.amount_due:
        post_entry(
            transaction,
            NewEntry(
                application_id=application_id,
                subscription_id=subscription.subscription_id,
                kind=EntryKind.INVOICED,
                amount=minor_to_ledger_units(invoice.amount_due, subscription.currency),
                caller_id=f"invoiced:{period}",
                description=f"invoice {invoice.number}",
                occurred_at=invoice.issued_at,
                period_start=expected.period_start,
            ),
        )
