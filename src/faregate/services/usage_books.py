"""Usage as our two books have it: the ledger's windows, and the reports that were written of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from faregate.base.money import EXACT
from faregate.domain.catalog.versions import PriceList
from faregate.services.close_windows import price_of_window
from faregate.services.provider_messages import UsageMessage, decode_message
from faregate.services.provider_prices import is_rated_by_provider
from faregate.storage.adjustments import adjustments_of_total
from faregate.storage.closing import OpenPeriod, UnreportedWindow, open_periods, windows_between
from faregate.storage.database import Transaction
from faregate.storage.ledger import TotalKey
from faregate.storage.metered import read_all_prices
from faregate.storage.outbox import OutboxRow
from faregate.storage.usage_reports import reports_between


class Point(NamedTuple):
    """Usage of a company by a version of a price, where windows of it begin."""

    company_id: str
    price_id: str
    at: datetime


@dataclass(slots=True, kw_only=True)
class Entry:
    """What the books have at a point; `sent`: what the provider took of what was `reported`."""

    ledger: Decimal = Decimal(0)
    reported: Decimal = Decimal(0)
    sent: Decimal = Decimal(0)
    windows: list[UnreportedWindow] = field(default_factory=list)
    reports: list[OutboxRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """All points of a stretch of time. `adjusted`: how many windows changed after their period's invoice."""

    entries: dict[Point, Entry]
    windows: int
    reports: int
    adjusted: int

    @property
    def companies(self) -> set[str]:
        """Return whose usage it is."""
        return {point.company_id for point in self.entries}


def read_books(transaction: Transaction, application_id: str, *, from_at: datetime, to_at: datetime) -> Books:
    """Return what is reported in [from_at, to_at), of windows that the provider rates."""
    entries: defaultdict[Point, Entry] = defaultdict(Entry)
    prices = read_all_prices(transaction)
    windows = windows_between(transaction, application_id, from_at=from_at, to_at=to_at)
    periods = open_periods(transaction, {window.key.subscription_id for window in windows})
    for window in windows:
        _add_window(entries, window, periods=periods, prices=prices)
    reports = reports_between(transaction, application_id, from_at=from_at, to_at=to_at)
    for row in reports:
        _add_report(entries, row)
    adjusted = _settle_adjusted(transaction, entries, periods=periods)
    return Books(entries=dict(entries), windows=len(windows), reports=len(reports), adjusted=adjusted)


def _add_window(
    entries: defaultdict[Point, Entry],
    window: UnreportedWindow,
    *,
    periods: dict[str, OpenPeriod],
    prices: PriceList,
) -> None:
    period = periods.get(window.key.subscription_id)
    price = None if period is None else price_of_window(prices, window, period)
    if price is not None and is_rated_by_provider(price):
        at = max(window.key.start_at, window.period_start)
        entry = entries[Point(window.key.company_id, price.price_id, at)]
        entry.ledger = EXACT.add(entry.ledger, window.quantity)
        entry.windows.append(window)


def _add_report(entries: defaultdict[Point, Entry], row: OutboxRow) -> None:
    usage = decode_message(row.kind, row.payload)
    if isinstance(usage, UsageMessage):
        entry = entries[Point(usage.company_id, usage.price_id, usage.timestamp)]
        entry.reported = EXACT.add(entry.reported, usage.value)
        entry.reports.append(row)
        if row.delivered_at is not None:
            entry.sent = EXACT.add(entry.sent, usage.value)


def _settle_adjusted(transaction: Transaction, entries: dict[Point, Entry], *, periods: dict[str, OpenPeriod]) -> int:
    """Take what adjustments bill out of the ledger's figures: reports never tell of it; return how many windows."""
    changed: defaultdict[TotalKey, list[Entry]] = defaultdict(list)
    for point, entry in entries.items():
        for window in entry.windows[:1]:
            of = window.key.subscription_id
            if entry.ledger != entry.reported and window.period_start < periods[of].billed_until:
                changed[TotalKey(of, point.price_id, window.period_start)].append(entry)
    settled = 0
    for key, found in changed.items():
        billed = sum_of(row.quantity for row in adjustments_of_total(transaction, key))
        if sum_of(EXACT.subtract(entry.ledger, entry.reported) for entry in found) == billed:
            settled += len(found)
            for entry in found:
                entry.ledger = entry.reported
    return settled


def sum_of(quantities: Iterable[Decimal]) -> Decimal:
    """Return the exact sum."""
    total = Decimal(0)
    for quantity in quantities:
        total = EXACT.add(total, quantity)
    return total
