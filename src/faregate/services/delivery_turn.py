"""One subscription's turn at the billing provider: what it is told, and what became of it.

Reports of usage go in their order, credit and a period's close in theirs. A close goes when the provider has every
report of usage that was written before it; nothing else waits for anything of the other kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, assert_never

import structlog

from faregate.base.clock import Clock
from faregate.base.errors import Conflict, FaregateError, InvalidInput, TooLarge
from faregate.base.limits import DELIVERY_BATCH_ROWS
from faregate.base.money import EXACT, currency
from faregate.base.periods import Period
from faregate.domain.billing.provider import (
    BillingProvider,
    MeterEvent,
    ProviderCoupon,
    ProviderGrant,
    ProviderInvoice,
    ProviderSubscription,
    RatedLine,
)
from faregate.domain.billing.provider_cycle import provider_cycle
from faregate.domain.billing.provider_links import ProviderLinks, price_link_id
from faregate.domain.billing.provider_usage import UsageFailure, is_reportable, report_identifier
from faregate.services.business_clock import business_now
from faregate.services.close_period import credit_for_invoice
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
from faregate.services.unsent_usage import folded, unsent_lines, unsent_units
from faregate.storage.closing import BilledCustomer
from faregate.storage.database import Transaction
from faregate.storage.outbox import OutboxRow, undelivered_usage, waiting_rows
from faregate.storage.provider_links import read_links

_log = structlog.get_logger(__name__)

_REFUSALS: Final = (InvalidInput, Conflict, TooLarge)
_OLD: Final = "the provider takes no usage of more than 35 days ago; the period's invoice has it as an item"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a subscription's turn is about. `missing`: usage that only the period's close can bill, by price.

    `blocked`: the close that is next waits for a report that failed for good, which is named. `links`: what is known of
    the provider's objects. `credit`: minor units that pay the invoice of the close. `now` is business time.
    """

    customer: BilledCustomer | None
    now: datetime
    links: ProviderLinks
    credit: int
    usage: list[OutboxRow]
    others: list[OutboxRow]
    too_old: list[OutboxRow]
    missing: dict[str, Decimal]
    blocked: tuple[OutboxRow, str] | None

    @property
    def rows(self) -> list[OutboxRow]:
        """Return all that is to be sent, in order."""
        return [*self.usage, *self.others]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A period that the provider has closed, with the invoice that it issued."""

    row: OutboxRow
    expected: PeriodCloseMessage
    issued: ProviderInvoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A message that is tried again later, or, where it is `final`, only when somebody says so."""

    row: OutboxRow
    error: str
    final: UsageFailure | None = None


@dataclass(slots=True, kw_only=True)
class Sent:
    """What became of a turn: messages that need nothing more, an invoice to record, messages that failed."""

    delivered: list[int] = field(default_factory=list)
    closed: Closed | None = None
    failures: list[Failure] = field(default_factory=list)
    application_id: str = ""
    links: ProviderLinks = field(default_factory=ProviderLinks)

    @property
    def is_nothing(self) -> bool:
        """Return whether the turn changed nothing."""
        return not self.delivered and not self.failures

    def copy(self) -> Sent:
        """Return what is known now, whatever a thread that is late adds."""
        return Sent(
            delivered=list(self.delivered),
            closed=self.closed,
            failures=list(self.failures),
            application_id=self.application_id,
            links=self.links,
        )


def read_turn(
    transaction: Transaction, subscription_id: str, *, clock: Clock, customer: BilledCustomer | None, account: str
) -> Turn:
    """Return what a subscription's next turn is about, at an account of the provider's."""
    usage = _due(waiting_rows(transaction, subscription_id, usage=True, limit=DELIVERY_BATCH_ROWS), clock)
    others = _due(waiting_rows(transaction, subscription_id, usage=False, limit=DELIVERY_BATCH_ROWS), clock)
    now = clock.now() if customer is None else business_now(transaction, customer.application_id, clock)
    too_old = [row for row in usage if _is_too_old(row, now)]
    usage = [row for row in usage if row not in too_old]
    close = next((index for index, row in enumerate(others) if row.kind == PERIOD_CLOSE), None)
    turn = Turn(
        customer=customer,
        now=now,
        links=ProviderLinks() if customer is None else _read_links(transaction, customer, account=account),
        credit=0,
        usage=usage,
        others=others,
        too_old=too_old,
        missing={},
        blocked=None,
    )
    if close is None:
        return turn
    lacking = undelivered_usage(transaction, subscription_id, before=others[close].outbox_id)
    if customer is not None:
        turn = replace(turn, credit=_credit(transaction, customer, others[close]))
    return _with_close(turn, close, lacking=lacking, now=now)


def _read_links(transaction: Transaction, customer: BilledCustomer, *, account: str) -> ProviderLinks:
    subscription, currency_code = customer.subscription, customer.subscription.currency.code
    ids = [_customer(customer), subscription.subscription_id]
    for price in customer.prices:
        ids += [price.price_id, price_link_id(price.price_id, currency_code)]
    known = read_links(transaction, application_id=customer.application_id, account=account, our_ids=ids)
    return ProviderLinks(known)


def _credit(transaction: Transaction, customer: BilledCustomer, row: OutboxRow) -> int:
    message = decode_message(row.kind, row.payload)
    assert isinstance(message, PeriodCloseMessage)  # noqa: S101 - its kind says so
    return credit_for_invoice(transaction, customer.subscription, message)


def _with_close(turn: Turn, close: int, *, lacking: list[OutboxRow], now: datetime) -> Turn:
    """Return a turn that ends with the close at this place, or before it, where a report has to come first."""
    row = turn.others[close]
    aged = [each for each in lacking if _has_become_too_old(each, now)]
    too_old = [*turn.too_old, *aged]
    gone = {each.outbox_id for each in too_old}
    unsendable = [each for each in lacking if each.is_billed_as_item or each.outbox_id in gone]
    passed = {each.outbox_id for each in (*unsendable, *turn.usage)}
    waits_for = [each for each in lacking if each.outbox_id not in passed]
    if waits_for:
        blocked = next(((row, _waits(each)) for each in waits_for if each.failure is not None), None)
        return replace(turn, others=turn.others[:close], too_old=too_old, blocked=blocked)
    missing = unsent_units(unsendable, row)
    return replace(turn, others=turn.others[: close + 1], too_old=too_old, missing=missing)


def _due(rows: list[OutboxRow], clock: Clock) -> list[OutboxRow]:
    """Return messages of one kind, or none while a failure holds them back."""
    return [] if any(row.retry_at is not None and row.retry_at > clock.now() for row in rows) else rows


def _is_too_old(row: OutboxRow, now: datetime) -> bool:
    return row.usage_at is not None and row.usage_at < now and not is_reportable(row.usage_at, now)


def _has_become_too_old(row: OutboxRow, now: datetime) -> bool:
    return row.failure in {UsageFailure.REFUSED, UsageFailure.LOST} and _is_too_old(row, now)


def _waits(report: OutboxRow) -> str:
    return f"waits for the usage report {report.key}, which is {report.failure}: {report.last_error}"


def send_turn(provider: BillingProvider, turn: Turn, sent: Sent, *, is_late: Callable[[], bool]) -> None:
    """Call the provider for every message, until one fails or it `is_late`. Runs on a thread of its own.

    A report that the provider refuses is passed over; the close behind it is not sent.
    """
    sent.failures += [Failure(row=row, error=_OLD, final=UsageFailure.TOO_OLD) for row in turn.too_old]
    if turn.blocked is not None:
        row, error = turn.blocked
        sent.failures.append(Failure(row=row, error=error))
    if not turn.rows:
        return
    if turn.customer is None:
        row = turn.rows[0]
        sent.failures.append(Failure(row=row, error=f"there is no subscription {row.subscription_id!r}"))
        return
    sent.application_id, sent.links = turn.customer.application_id, turn.links
    _Sending(provider.linked(turn.links), turn.customer, turn=turn, sent=sent, is_late=is_late).run()


class _Sending:
    """The calls of one turn."""

    def __init__(
        self,
        provider: BillingProvider,
        customer: BilledCustomer,
        *,
        turn: Turn,
        sent: Sent,
        is_late: Callable[[], bool],
    ) -> None:
        self._provider = provider
        self._customer = customer
        self._turn = turn
        self._sent = sent
        self._is_late = is_late

    def run(self) -> None:
        """Send usage, then all else."""
        wanted = _subscription(self._customer, self._turn.now)
        if not self._went_through(lambda _: self._provider.ensure_subscription(wanted), self._turn.rows[0]):
            return
        has_all_usage = self._send_usage()
        for row in self._turn.others:
            if self._is_late() or (row.kind == PERIOD_CLOSE and not has_all_usage):
                return
            if not self._went_through(self._send_other, row):
                return

    def _send_usage(self) -> bool:
        """Report usage; return whether the provider has all of it."""
        failed_before = len(self._sent.failures)
        for row in self._turn.usage:
            if self._is_late() or not self._went_through(self._report, row):
                return False
        return len(self._sent.failures) == failed_before

    def _went_through(self, send: Callable[[OutboxRow], None], row: OutboxRow) -> bool:
        """Return whether a call went through; what is wrong otherwise is the message's failure."""
        try:
            send(row)
        except FaregateError as error:
            self._sent.failures.append(Failure(row=row, error=error.message))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one subscription, the others go on
            _log.exception("outbox.delivery_crashed", key=row.key)
            self._sent.failures.append(Failure(row=row, error=f"{type(error).__name__}: {error}"))
        else:
            return True
        return False

    def _report(self, row: OutboxRow) -> None:
        message = decode_message(row.kind, row.payload)
        if not isinstance(message, UsageMessage):
            raise InvalidInput.of("kind", f"{row.kind!r} is no report of usage")
        try:
            self._provider.report_usage(_meter_event(row, self._customer, message))
        except _REFUSALS as error:
            is_whole = message.value == message.value.to_integral_value()
            final = UsageFailure.REFUSED if is_whole else UsageFailure.FRACTION
            self._sent.failures.append(Failure(row=row, error=error.message, final=final))
        else:
            self._sent.delivered.append(row.outbox_id)

    def _send_other(self, row: OutboxRow) -> None:
        match decode_message(row.kind, row.payload):
            case CreditMessage() as credit:
                self._provider.create_credit_grant(_grant(credit))
                self._sent.delivered.append(row.outbox_id)
            case PeriodCloseMessage() as close:
                self._sent.closed = self._close(row, close)
            case UsageMessage():
                raise InvalidInput.of("usage_at", "is missing from a report of usage")
            case other:
                assert_never(other)

    def _close(self, row: OutboxRow, close: PeriodCloseMessage) -> Closed:
        unsent = unsent_lines(close.lines, self._turn.missing, self._customer.prices)
        issued = self._provider.close_period(
            close.subscription_id,
            close.period,
            issued_at=close.issued_at,
            rated=(*(_rated_line(line) for line in close.lines if line.rated), *unsent),
            metered=tuple(_rated_line(line) for line in close.lines if not line.rated),
            coupons=tuple(_coupon(discount) for discount in close.discounts),
            credit=self._turn.credit,
        )
        return Closed(row=row, expected=close, issued=replace(issued, lines=folded(issued.lines, unsent, close.lines)))


def _customer(billed: BilledCustomer) -> str:
    return provider_customer(billed.application_id, billed.subscription.company_id)


def _subscription(billed: BilledCustomer, now: datetime) -> ProviderSubscription:
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
        cycle=provider_cycle(subscription, now),
        payment_terms=subscription.payment_terms,
        prepaid_billing=subscription.prepaid_billing,
    )


def _rated_line(line: ExpectedLine) -> RatedLine:
    return RatedLine(price=line.line_id, description=line.description, quantity=line.quantity, amount=line.amount)


def _coupon(discount: ExpectedDiscount) -> ProviderCoupon:
    return ProviderCoupon(
        lookup_key=discount.redemption_id,
        name=discount.name,
        percent_off=discount.percent_off,
        amount_off=discount.amount_off,
        amount=discount.amount,
    )


def _meter_event(row: OutboxRow, customer: BilledCustomer, usage: UsageMessage) -> MeterEvent:
    return MeterEvent(
        identifier=report_identifier(row.key, resends=row.resends),
        customer=_customer(customer),
        subscription=usage.subscription_id,
        price=usage.price_id,
        value=usage.value,
        timestamp=usage.timestamp,
        period=customer.subscription.period_at(usage.period_start) or Period(usage.period_start, usage.timestamp),
    )


def _grant(credit: CreditMessage) -> ProviderGrant:
    unit = currency(credit.currency)
    return ProviderGrant(
        lookup_key=credit.grant_id,
        subscription=credit.subscription_id,
        currency=credit.currency,
        value=EXACT.scaleb(Decimal(credit.amount), unit.minor_places - unit.ledger_places),
        category=credit.kind,
    )


def next_unsent(turn: Turn, sent: Sent) -> OutboxRow | None:
    """Return the message that a turn which took too long was at."""
    done = {*sent.delivered, *(failure.row.outbox_id for failure in sent.failures)}
    return next((row for row in turn.rows if row.outbox_id not in done), None)


def lanes(waiting: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Return subscriptions by the customer whose they are: one call at a time is made for each."""
    found: dict[str, list[str]] = {}
    for customer, subscription_id in waiting:
        found.setdefault(customer, []).append(subscription_id)
    return found
