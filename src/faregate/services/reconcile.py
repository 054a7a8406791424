"""Compare usage in three books: the ledger's windows, the reports that were sent, and what the provider counted.

Over closed windows, older than an hour. A day on which the provider counted something else is looked at minute by
minute, where windows of ours begin, so that a difference names its windows and their events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

import msgspec
import structlog

from faregate.base.clock import Clock
from faregate.base.errors import InvalidInput, NotFound
from faregate.base.ids import IdSource
from faregate.base.limits import DELIVERY_THREADS, PROVIDER_HORIZON
from faregate.base.money import EXACT
from faregate.base.periods import window_containing
from faregate.domain.billing.provider import BillingProvider
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.services.business_clock import business_now
from faregate.services.find_event import event_id_of
from faregate.services.provider_calls import ask_provider, ask_provider_on
from faregate.services.provider_customers import provider_customer
from faregate.services.usage_books import Books, Entry, Point, read_books, sum_of
from faregate.services.usage_reports import report_id
from faregate.storage.database import Database, Transaction
from faregate.storage.effects import WindowPlace, charges_of_window, find_window
from faregate.storage.provider_links import read_links
from faregate.storage.reconciliations import keep_reconciliation, last_reconciliation
from faregate.wire.api.common import plain
from faregate.wire.api.reconciliations import DifferenceKind, DifferenceView, ReconciliationView

_log = structlog.get_logger(__name__)

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_MOST_SHOWN: Final = 500
_MOST_NAMED: Final = 20


class Span(NamedTuple):
    """Which time is looked at: whole days in UTC, and the last one up to a full hour."""

    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """A point at which books differ. `provider` is None where it was not asked."""

    kind: DifferenceKind
    point: Point
    entry: Entry
    provider: Decimal | None = None


async def reconcile(
    database: Database,
    provider: BillingProvider,
    clock: Clock,
    *,
    application_id: str,
    from_at: datetime | None = None,
    to_at: datetime | None = None,
    new_id: IdSource,
) -> ReconciliationView:
    """Compare, keep what came of it, and return it.

    Raises `InvalidInput` on `from_at` where nothing is left to look at, and what the provider's calls raise.
    """
    account = await ask_provider(provider.account)
    now = await database.read(lambda tx: business_now(tx, application_id, clock))
    span = _span(from_at, to_at, now)
    books, links = await database.read(lambda tx: _read(tx, application_id, span, account=account))
    differences = list(_of_books(books))
    differences += await _of_provider(provider.linked(links), application_id, books=books, span=span)
    view = await database.read(
        lambda tx: _view(
            tx, application_id, _Result(books=books, span=span, differences=differences, now=now), new_id=new_id
        )
    )
    document = msgspec.json.encode(view).decode()
    await database.write(
        lambda tx: keep_reconciliation(
            tx, application_id, reconciliation_id=view.reconciliation_id, checked_at=now, document=document
        )
    )
    if differences:
        _log.error("usage.differed", application_id=application_id, differences=len(differences))
    return view


def read_last(transaction: Transaction, application_id: str) -> ReconciliationView:
    """Return what the last comparison came to; `NotFound` where there was none."""
    document = last_reconciliation(transaction, application_id)
    if document is None:
        raise NotFound("reconciliation", "last")
    return msgspec.json.decode(document, type=ReconciliationView)


def _span(from_at: datetime | None, to_at: datetime | None, now: datetime) -> Span:
    last = window_containing(now - _HOUR, _HOUR).start
    end = last if to_at is None else min(last, window_containing(to_at, _HOUR).start)
    start = window_containing(end - PROVIDER_HORIZON if from_at is None else from_at, _DAY).start
    if start >= end:
        raise InvalidInput.of("from_at", f"must be before {end.isoformat()}: windows are compared an hour after them")
    return Span(start, end)


def _read(transaction: Transaction, application_id: str, span: Span, *, account: str) -> tuple[Books, ProviderLinks]:
    books = read_books(transaction, application_id, from_at=span.from_at, to_at=span.to_at)
    ids = {provider_customer(application_id, company_id) for company_id in books.companies}
    ids |= {point.price_id for point in books.entries}
    known = read_links(transaction, application_id=application_id, account=account, our_ids=sorted(ids))
    return books, ProviderLinks(known)


def _of_books(books: Books) -> Iterator[_Difference]:
    for point, entry in sorted(books.entries.items()):
        if entry.ledger != entry.reported:
            yield _Difference(kind=DifferenceKind.NOT_REPORTED, point=point, entry=entry)
        if any(row.delivered_at is None and not row.is_billed_as_item for row in entry.reports):
            yield _Difference(kind=DifferenceKind.NOT_SENT, point=point, entry=entry)


async def _of_provider(
    provider: BillingProvider, application_id: str, *, books: Books, span: Span
) -> list[_Difference]:
    series: dict[tuple[str, str], dict[datetime, Entry]] = {}
    for point, entry in books.entries.items():
        series.setdefault((point.company_id, point.price_id), {})[point.at] = entry
    threads = ThreadPoolExecutor(DELIVERY_THREADS, thread_name_prefix="reconcile")
    try:
        found = await asyncio.gather(
            *(
                ask_provider_on(
                    threads,
                    _Comparing(provider, application_id, of=of, entries=entries, span=span).run,
                )
                for of, entries in sorted(series.items())
            )
        )
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    return [difference for each in found for difference in each]


class _Comparing:
    """What was sent of a company's usage of a price, against what the provider counted of it."""

    def __init__(
        self,
        provider: BillingProvider,
        application_id: str,
        *,
        of: tuple[str, str],
        entries: dict[datetime, Entry],
        span: Span,
    ) -> None:
        self._company_id, self._price_id = of
        self._entries = entries
        self._span = span
        self._counted = partial(
            provider.summarize_usage,
            customer=provider_customer(application_id, self._company_id),
            price=self._price_id,
        )

    def run(self) -> list[_Difference]:
        """Return what differs; runs on a thread of its own."""
        counted = self._days()
        sent: dict[datetime, list[datetime]] = {}
        for at in self._entries:
            sent.setdefault(_day(at), []).append(at)
        differences: list[_Difference] = []
        for day in sorted(sent.keys() | counted.keys()):
            instants = sorted(sent.get(day, []))
            ours = sum_of(self._entries[at].sent for at in instants)
            theirs = counted.get(day, Decimal(0))
            if ours != theirs:
                differences += self._narrowed(day, instants, theirs)
        return differences

    def _days(self) -> dict[datetime, Decimal]:
        span, last = self._span, _day(self._span.to_at)
        found = self._counted(start=span.from_at, end=last) if span.from_at < last else []
        found += self._counted(start=last, end=span.to_at) if last < span.to_at else []
        return {summary.start: summary.quantity for summary in found}

    def _narrowed(self, day: datetime, instants: Sequence[datetime], theirs: Decimal) -> Iterator[_Difference]:
        """Yield the minutes of a day that differ, and what the provider counted at no window of ours."""
        minutes: dict[datetime, list[datetime]] = {}
        for at in instants:
            minutes.setdefault(window_containing(at, _MINUTE).start, []).append(at)
        elsewhere = theirs
        for minute, members in minutes.items():
            found = sum_of(each.quantity for each in self._counted(start=minute, end=minute + _MINUTE))
            elsewhere = EXACT.subtract(elsewhere, found)
            entries = [self._entries[at] for at in members]
            if found != sum_of(entry.sent for entry in entries):
                yield self._difference(members[0], _merged(entries), found)
        if elsewhere:
            yield self._difference(day, Entry(), elsewhere)

    def _difference(self, at: datetime, entry: Entry, counted: Decimal) -> _Difference:
        point = Point(self._company_id, self._price_id, at)
        return _Difference(kind=DifferenceKind.PROVIDER, point=point, entry=entry, provider=counted)


def _merged(entries: Sequence[Entry]) -> Entry:
    return Entry(
        ledger=sum_of(entry.ledger for entry in entries),
        reported=sum_of(entry.reported for entry in entries),
        sent=sum_of(entry.sent for entry in entries),
        windows=[window for entry in entries for window in entry.windows],
        reports=[row for entry in entries for row in entry.reports],
    )


def _day(at: datetime) -> datetime:
    return window_containing(at, _DAY).start


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    books: Books
    span: Span
    differences: Sequence[_Difference]
    now: datetime


def _view(
    transaction: Transaction, application_id: str, result: _Result, *, new_id: Callable[[str], str]
) -> ReconciliationView:
    shown = sorted(result.differences, key=lambda each: (each.point, each.kind))[:_MOST_SHOWN]
    return ReconciliationView(
        reconciliation_id=new_id("rec"),
        from_at=result.span.from_at,
        to_at=result.span.to_at,
        checked_at=result.now,
        customers=len(result.books.companies),
        windows=result.books.windows,
        reports=result.books.reports,
        adjusted_windows=result.books.adjusted,
        differences=[_difference_view(transaction, application_id, each) for each in shown],
        more_differences=len(result.differences) - len(shown),
    )


def _difference_view(transaction: Transaction, application_id: str, found: _Difference) -> DifferenceView:
    entry = found.entry
    return DifferenceView(
        kind=found.kind,
        company_id=found.point.company_id,
        price_id=found.point.price_id,
        at=found.point.at,
        ledger=plain(entry.ledger),
        reported=plain(entry.reported),
        sent=plain(entry.sent),
        provider=None if found.provider is None else plain(found.provider),
        reports=[report_id(row) for row in entry.reports[:_MOST_NAMED]],
        windows=[f"{window.key.meter_id}@{window.key.start_at:%Y-%m-%dT%H:%M:%SZ}" for window in entry.windows],
        events=_events(transaction, application_id, entry),
    )


def _events(transaction: Transaction, application_id: str, entry: Entry) -> list[str]:
    """Return the first events of windows."""
    names: list[str] = []
    for window in entry.windows:
        place = WindowPlace(
            application_id=application_id,
            company_id=window.key.company_id,
            meter_id=window.key.meter_id,
            subscription_id=window.key.subscription_id,
        )
        held = find_window(transaction, place, group_key=window.key.group_key, occurred_at=window.key.start_at)
        if held is not None and len(names) < _MOST_NAMED:
            charges = charges_of_window(
                transaction, place, held, after=None, limit=_MOST_NAMED - len(names), with_bodies=False
            )
            names += [name for name in map(event_id_of, (row.position for row in charges)) if name not in names]
    return names
