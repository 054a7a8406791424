"""From quantities to money: usage windows, period totals, debits, and one ledger entry a price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from faregate.base.clock import EPOCH, to_microseconds
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

_NOTHING: Final = Decimal(0)


class Posting(NamedTuple):
    """A measured event, and the total and period that it is charged to: None where the company has no such plan."""

    measured: Measured
    key: TotalKey | None
    period: Period | None


class _Place(NamedTuple):
    key: TotalKey
    period: Period
    since: datetime


class PostingRules:
    """Which subscription and period a company's usage of a price belongs to."""

    def __init__(self, prices: Mapping[str, Price], subscriptions: Sequence[tuple[Subscription, datetime]]) -> None:
        self._prices = prices
        self._by_plan = {
            (found.company_id, found.plan_id): (found, billed_until) for found, billed_until in subscriptions
        }
        self._recent: dict[tuple[str, str], _Place] = {}

    def place(self, measured: Measured) -> Posting:
        """Return where the usage is charged. Usage of a period that is already invoiced goes to the open one."""
        whose = (measured.company_id, measured.meter.price_id)
        place = self._recent.get(whose)
        if place is None or not place.since <= measured.occurred_at < place.period.end:
            place = self._find(measured)
            if place is None:
                return Posting(measured, None, None)
            self._recent[whose] = place
        return Posting(measured, place.key, place.period)

    def _find(self, measured: Measured) -> _Place | None:
        price = self._prices.get(measured.meter.price_id)
        found = self._by_plan.get((measured.company_id, price.plan_id)) if price is not None else None
        if price is None or found is None:
            return None
        subscription, billed_until = found
        period = subscription.period_at(max(measured.occurred_at, billed_until))
        if period is None:
            return None
        key = TotalKey(subscription.subscription_id, price.price_id, period.start)
        return _Place(key, period, min(measured.occurred_at, period.start))


def place_usage(
    transaction: Transaction, application_id: str, measured: Sequence[Measured], *, prices: Mapping[str, Price]
) -> list[Posting]:
    """Find the account and period of every measured event."""
    companies = {entry.company_id for entry in measured}
    rules = PostingRules(prices, subscriptions_of_companies(transaction, application_id, companies))
    return [rules.place(entry) for entry in measured]


def total_keys(postings: Sequence[Posting]) -> dict[TotalKey, Period]:
    """Return the totals that the postings move."""
    return {key: period for _, key, period in postings if key is not None and period is not None}


def debit_usage(
    transaction: Transaction, application_id: str, postings: Sequence[Posting], *, book: AccountBook, now: datetime
) -> None:
    """Charge postings in log order and add them to their windows. `now` is the application's business time."""
    if not postings:
        return
    amounts = [0 if key is None else book.settle(key, measured.quantity) for measured, key, _ in postings]
    entry_ids = _post_entries(transaction, application_id, postings, amounts=amounts, now=now)
    add_charges(
        transaction,
        [
            Charge(
                measured.position,
                measured.meter.meter_id,
                application_id,
                measured.company_id,
                key.subscription_id if key is not None else "",
                measured.meter.price_id,
                measured.occurred_at,
                measured.quantity,
                amount,
                entry_ids.get(key),
            )
            for (measured, key, _), amount in zip(postings, amounts, strict=True)
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
    for (measured, key, _), amount in zip(postings, amounts, strict=True):
        if key is not None:
            debits[key] = debits.get(key, 0) + amount
            quantities[key] = EXACT.add(quantities.get(key, _NOTHING), measured.quantity)
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


class _Slice(NamedTuple):
    """Postings that share a window. `in_period`: they happened in the period they are charged to, not before it."""

    company_id: str
    meter_id: str
    key: TotalKey | None
    number: int
    in_period: bool


def _add_to_windows(transaction: Transaction, application_id: str, postings: Sequence[Posting]) -> None:
    slices: dict[_Slice, list[Posting]] = {}
    for posting in postings:
        measured, key, _ = posting
        meter = measured.meter
        number = (measured.occurred_at - EPOCH) // meter.reporting_period
        in_period = key is not None and measured.occurred_at >= key.period_start
        share = _Slice(measured.company_id, meter.meter_id, key, number, in_period)
        slices.setdefault(share, []).append(posting)
    placed = {_window_key(application_id, share, members[0]): members for share, members in slices.items()}
    windows = read_windows(transaction, placed)
    for window_key, members in placed.items():
        window = windows.get(window_key)
        if window is None:
            windows[window_key] = window = _new_window(window_key, members[0])
        for posting in members:
            window.quantity = EXACT.add(window.quantity, posting.measured.quantity)
        window.event_count += len(members)
        window.dirty = True
    write_windows(transaction, windows.values())


def _window_key(application_id: str, share: _Slice, posting: Posting) -> WindowKey:
    start = EPOCH + share.number * posting.measured.meter.reporting_period
    if share.key is None:
        return WindowKey(application_id, share.company_id, share.meter_id, "", start)
    if share.in_period:
        # A window that a billing period begins in is cut there: its usage must be reported inside the period.
        start = max(start, share.key.period_start)
    return WindowKey(application_id, share.company_id, share.meter_id, share.key.subscription_id, start)


def _new_window(key: WindowKey, posting: Posting) -> Window:
    end = window_containing(key.start_at, posting.measured.meter.reporting_period).end
    if posting.period is not None and key.start_at < posting.period.end < end:
        end = posting.period.end
    return Window(
        key=key,
        end_at=end,
        period_start=posting.period.start if posting.period is not None else key.start_at,
        quantity=_NOTHING,
        event_count=0,
        reported_quantity=_NOTHING,
        reported_revision=0,
        dirty=True,
    )
