"""Deliver what the billing provider must be told: in order within a subscription, outside any transaction, repeat-safe.

Customers, prices and subscriptions are not messages: the provider is asked to have them before each batch, under our
ids, which is one read where it has them already. A crash between a call and its mark repeats the call; its key makes
that harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, assert_never

import structlog

from faregate.base.clock import Clock
from faregate.base.errors import FaregateError, Unavailable
from faregate.base.failpoints import INVOICE_KEPT, OUTBOX_SENT, reach
from faregate.base.limits import DELIVERY_BATCH_ROWS
from faregate.base.money import EXACT, currency
from faregate.domain.billing.provider import (
    BillingProvider,
    MeterEvent,
    ProviderCoupon,
    ProviderGrant,
    ProviderInvoice,
    ProviderSubscription,
    RatedLine,
)
from faregate.services.business_clock import business_now
from faregate.services.close_period import record_invoice
from faregate.services.provider_calls import ask_provider
from faregate.services.provider_customers import provider_customer
from faregate.services.provider_messages import (
    PERIOD_CLOSE,
    CreditMessage,
    ExpectedDiscount,
    ExpectedLine,
    PeriodCloseMessage,
    UsageMessage,
    decode_message,
)
from faregate.services.provider_prices import is_rated_by_provider, provider_price
from faregate.services.retries import retry_delay
from faregate.storage.closing import BilledCustomer, read_billed_customer
from faregate.storage.database import Database, Transaction
from faregate.storage.outbox import OutboxRow, mark_delivered, mark_failed, ready_subscriptions, waiting_rows

_log = structlog.get_logger(__name__)

_ROUND_SUBSCRIPTIONS: Final = 100


async def deliver_outbox(database: Database, provider: BillingProvider, clock: Clock) -> int:
    """Deliver every message that waits and is not held back by a failure; return how many were delivered.

    A failed message is counted with its error and tried again after a growing delay; it holds back its own subscription
    only.
    """
    delivered = 0
    while ready := await database.read(_ready(clock.now())):
        outcomes = [await _deliver_batch(database, provider, clock, subscription_id=found) for found in ready]
        await database.write(_mark(outcomes, clock.now()))
        delivered += sum(len(sent.delivered) for sent in outcomes)
    return delivered


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Messages of one subscription, in order, and who it is; a period's close is the last of its batch."""

    customer: BilledCustomer | None
    rows: list[OutboxRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Closed:
    row: OutboxRow
    expected: PeriodCloseMessage
    issued: ProviderInvoice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    row: OutboxRow
    error: str


@dataclass(slots=True, kw_only=True)
class _Sent:
    """What became of a batch: messages that need nothing more, an invoice to record, the message that failed."""

    delivered: list[int] = field(default_factory=list)
    closed: _Closed | None = None
    failure: _Failure | None = None


async def _deliver_batch(database: Database, provider: BillingProvider, clock: Clock, *, subscription_id: str) -> _Sent:
    batch = await database.read(lambda tx: _read_batch(tx, subscription_id))
    if not batch.rows:
        return _Sent()
    try:
        sent = await ask_provider(_send, provider, batch)
        reach(OUTBOX_SENT)
    except Unavailable as error:
        sent = _Sent(failure=_Failure(row=batch.rows[0], error=error.message))
    if sent.closed is not None:
        await _keep_invoice(database, clock, sent, closed=sent.closed)
    if sent.failure is not None:
        row = sent.failure.row
        _log.warning("outbox.delivery_failed", key=row.key, attempts=row.attempts + 1, error=sent.failure.error)
    return sent


def _ready(now: datetime) -> Callable[[Transaction], list[str]]:
    return lambda tx: ready_subscriptions(tx, now=now, limit=_ROUND_SUBSCRIPTIONS)


def _read_batch(transaction: Transaction, subscription_id: str) -> _Batch:
    rows = waiting_rows(transaction, subscription_id, limit=DELIVERY_BATCH_ROWS)
    for index, row in enumerate(rows):
        if row.kind == PERIOD_CLOSE:
            rows = rows[: index + 1]
            break
    return _Batch(customer=read_billed_customer(transaction, subscription_id), rows=rows)


def _send(provider: BillingProvider, batch: _Batch) -> _Sent:
    """Call the provider for every message until one fails. Runs on a thread of its own."""
    sent = _Sent()
    row = batch.rows[0]
    if batch.customer is None:
        sent.failure = _Failure(row=row, error=f"there is no subscription {row.subscription_id!r}")
        return sent
    try:
        provider.ensure_subscription(_provider_subscription(batch.customer))
        for row in batch.rows:
            _send_message(provider, batch.customer, row, sent=sent)
    except FaregateError as error:
        sent.failure = _Failure(row=row, error=error.message)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one subscription, the others go on
        _log.exception("outbox.delivery_crashed", key=row.key)
        sent.failure = _Failure(row=row, error=f"{type(error).__name__}: {error}")
    return sent


def _send_message(provider: BillingProvider, customer: BilledCustomer, row: OutboxRow, *, sent: _Sent) -> None:
    match decode_message(row.kind, row.payload):
        case UsageMessage() as usage:
            provider.report_usage(_meter_event(row, customer, usage))
            sent.delivered.append(row.outbox_id)
        case CreditMessage() as credit:
            provider.create_credit_grant(_provider_grant(credit))
            sent.delivered.append(row.outbox_id)
        case PeriodCloseMessage() as close:
            rated = tuple(_rated_line(line) for line in close.lines if line.rated)
            issued = provider.close_period(
                close.subscription_id,
                close.period,
                issued_at=close.issued_at,
                rated=rated,
                coupons=tuple(_coupon(discount) for discount in close.discounts),
            )
            sent.closed = _Closed(row=row, expected=close, issued=issued)
        case other:
            assert_never(other)


async def _keep_invoice(database: Database, clock: Clock, sent: _Sent, *, closed: _Closed) -> None:
    def keep(transaction: Transaction) -> None:
        now = business_now(transaction, closed.row.application_id, clock)
        record_invoice(transaction, closed.expected, closed.issued, now=now)
        mark_delivered(transaction, [closed.row.outbox_id], clock.now())
        reach(INVOICE_KEPT)

    try:
        await database.write(keep)
    except FaregateError as error:
        sent.failure = _Failure(row=closed.row, error=error.message)
    else:
        sent.delivered.append(closed.row.outbox_id)


def _mark(outcomes: list[_Sent], now: datetime) -> Callable[[Transaction], None]:
    def mark(transaction: Transaction) -> None:
        mark_delivered(transaction, [outbox_id for sent in outcomes for outbox_id in sent.delivered], now)
        for sent in outcomes:
            if sent.failure is not None:
                row = sent.failure.row
                retry_at = now + retry_delay(row.attempts, row.outbox_id)
                mark_failed(transaction, row.outbox_id, error=sent.failure.error, retry_at=retry_at)

    return mark


def _provider_subscription(billed: BilledCustomer) -> ProviderSubscription:
    subscription = billed.subscription
    return ProviderSubscription(
        lookup_key=subscription.subscription_id,
        customer=_customer(billed),
        customer_name=billed.company_name,
        currency=subscription.currency.code,
        prices=tuple(
            provider_price(price, product=billed.plan_name) for price in billed.prices if is_rated_by_provider(price)
        ),
        billing_cycle_anchor=subscription.started_at,
        payment_terms=subscription.payment_terms,
    )


def _rated_line(line: ExpectedLine) -> RatedLine:
    return RatedLine(price=line.line_id, description=line.description, quantity=line.quantity, amount=line.amount)


def _coupon(discount: ExpectedDiscount) -> ProviderCoupon:
    return ProviderCoupon(
        lookup_key=discount.redemption_id,
        name=discount.name,
        percent_off=discount.percent_off,
        amount_off=discount.amount_off,
    )


def _meter_event(row: OutboxRow, customer: BilledCustomer, usage: UsageMessage) -> MeterEvent:
    return MeterEvent(
        identifier=row.key,
        customer=_customer(customer),
        price=usage.price_id,
        value=usage.value,
        timestamp=usage.timestamp,
    )


def _provider_grant(credit: CreditMessage) -> ProviderGrant:
    unit = currency(credit.currency)
    return ProviderGrant(
        lookup_key=credit.grant_id,
        subscription=credit.subscription_id,
        currency=credit.currency,
        value=EXACT.scaleb(Decimal(credit.amount), unit.minor_places - unit.ledger_places),
        category=credit.kind,
    )


def _customer(billed: BilledCustomer) -> str:
    return provider_customer(billed.application_id, billed.subscription.company_id)
