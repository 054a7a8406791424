"""From quantities to money: usage windows, period totals, debits, and one ledger entry a price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from faregate.base.clock import to_microseconds
from faregate.base.money import EXACT
from faregate.base.periods import Period, window_containing
from faregate.domain.catalog.price import Price
from faregate.domain.customers.subscription import Subscription
from faregate.services.account_book import AccountBook
from faregate.services.meter_events import Measured
from faregate.storage.database import Transaction
from faregate.storage.ledger import EntryKind, NewEntry, TotalKey, post_entry
from faregate.storage.metered import subscriptions_of_companies
from faregate.storage.usage import Charge, Window, WindowKey, add_charges, read_windows, write_windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """A measured event, and the total and period that it is charged to: None where the company has no such plan."""

    measured: Measured
    key: TotalKey | None
    period: Period | None


class PostingRules:
    """Which subscription and period a company's usage of a price belongs to."""

    def __init__(self, prices: Mapping[str, Price], subscriptions: Sequence[tuple[Subscription, datetime]]) -> None:
        self._prices = prices
        self._by_plan = {
            (found.company_id, found.plan_id): (found, billed_until) for found, billed_until in subscriptions
        }
        self._periods: dict[str, Period] = {}

    def place(self, measured: Measured) -> Posting:
        """Return where the usage is charged. Usage of a period that is already invoiced goes to the open one."""
        price = self._prices.get(measured.meter.price_id)
        found = self._by_plan.get((measured.company_id, price.plan_id)) if price is not None else None
        if price is None or found is None:
            return Posting(measured=measured, key=None, period=None)
        subscription, billed_until = found
        period = self._period(subscription, max(measured.event.occurred_at, billed_until))
        if period is None:
            return Posting(measured=measured, key=None, period=None)
        key = TotalKey(subscription.subscription_id, price.price_id, period.start)
        return Posting(measured=measured, key=key, period=period)

    def _period(self, subscription: Subscription, instant: datetime) -> Period | None:
        recent = self._periods.get(subscription.subscription_id)
        if recent is not None and instant in recent:
            return recent
        period = subscription.period_at(instant)
        if period is not None:
            self._periods[subscription.subscription_id] = period
        return period


def place_usage(
    transaction: Transaction, application_id: str, measured: Sequence[Measured], *, prices: Mapping[str, Price]
) -> list[Posting]:
    """Find the account and period of every measured event."""
    companies = {entry.company_id for entry in measured}
    rules = PostingRules(prices, subscriptions_of_companies(transaction, application_id, companies))
    return [rules.place(entry) for entry in measured]


def total_keys(postings: Sequence[Posting]) -> dict[TotalKey, Period]:
    """Return the totals that the postings move."""
    return {
        posting.key: posting.period for posting in postings if posting.key is not None and posting.period is not None
    }


def debit_usage(
    transaction: Transaction, application_id: str, postings: Sequence[Posting], *, book: AccountBook, now: datetime
) -> None:
    """Charge postings in log order and add them to their windows. `now` is the application's business time."""
    if not postings:
        return
    amounts = [
        0 if posting.key is None else book.settle(posting.key, posting.measured.quantity) for posting in postings
    ]
    entry_ids = _post_entries(transaction, application_id, postings, amounts=amounts, now=now)
    add_charges(
        transaction,
        [
            _charge(application_id, posting, amount, entry_id=entry_ids.get(posting.key))
            for posting, amount in zip(postings, amounts, strict=True)
        ],
    )
    _add_to_windows(transaction, application_id, postings)


def _post_entries(
    transaction: Transaction,
    application_id: str,
    postings: Sequence[Posting],
    *,
    amounts: Sequence[int],
    now: datetime,
) -> dict[TotalKey | None, int | None]:
    debits: dict[TotalKey, int] = {}
    quantities: dict[TotalKey, Decimal] = {}
    for posting, amount in zip(postings, amounts, strict=True):
        key = posting.key
        if key is not None:
            debits[key] = debits.get(key, 0) + amount
            quantities[key] = EXACT.add(quantities.get(key, Decimal(0)), posting.measured.quantity)
    first, last = postings[0].measured.position, postings[-1].measured.position
    return {
        key: post_entry(
            transaction,
            NewEntry(
                application_id=application_id,
                subscription_id=key.subscription_id,
                kind=EntryKind.DEBIT,
                amount=-amount,
                caller_id=f"debit:{first}-{last}:{key.price_id}:{to_microseconds(key.period_start)}",
                description="usage",
                occurred_at=now,
                price_id=key.price_id,
                period_start=key.period_start,
                quantity=quantities[key],
            ),
        )
        for key, amount in debits.items()
        if amount
    }


def _charge(application_id: str, posting: Posting, amount: int, *, entry_id: int | None) -> Charge:
    measured = posting.measured
    return Charge(
        position=measured.position,
        meter_id=measured.meter.meter_id,
        application_id=application_id,
        company_id=measured.company_id,
        subscription_id=posting.key.subscription_id if posting.key is not None else "",
        price_id=measured.meter.price_id,
        occurred_at=measured.event.occurred_at,
        quantity=measured.quantity,
        amount=amount,
        entry_id=entry_id,
    )


def _add_to_windows(transaction: Transaction, application_id: str, postings: Sequence[Posting]) -> None:
    placed = [(_window_key(application_id, posting), posting) for posting in postings]
    windows = read_windows(transaction, {key for key, _ in placed})
    for key, posting in placed:
        window = windows.get(key)
        if window is None:
            windows[key] = window = _new_window(key, posting)
        window.quantity = EXACT.add(window.quantity, posting.measured.quantity)
        window.event_count += 1
        window.dirty = True
    write_windows(transaction, windows.values())


def _window_key(application_id: str, posting: Posting) -> WindowKey:
    measured = posting.measured
    start = window_containing(measured.event.occurred_at, measured.meter.reporting_period).start
    if posting.period is not None and start < posting.period.start <= measured.event.occurred_at:
        # A window that a billing period begins in is cut there: its usage must be reported inside the period.
        start = posting.period.start
    subscription_id = posting.key.subscription_id if posting.key is not None else ""
    return WindowKey(application_id, measured.company_id, measured.meter.meter_id, subscription_id, start)


def _new_window(key: WindowKey, posting: Posting) -> Window:
    end = window_containing(key.start_at, posting.measured.meter.reporting_period).end
    if posting.period is not None and key.start_at < posting.period.end < end:
        end = posting.period.end
    return Window(
        key=key,
        end_at=end,
        period_start=posting.period.start if posting.period is not None else key.start_at,
        quantity=Decimal(0),
        event_count=0,
        reported_quantity=Decimal(0),
        reported_revision=0,
        dirty=True,
    )
