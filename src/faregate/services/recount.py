"""Count kept events again, in memory: what usage of one price comes to by given meters and terms.

The very functions that the applier charges by, over the same events in the same order, so that meters and prices that
have not changed come to what is stored. Nothing is written. Memory holds totals, states and windows of the
subscriptions that are counted, and one slice of events.

    recount = Recount(scope)
    while recount.step(transaction, through=position): ...
    recount.totals()
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from faregate.base.clock import to_microseconds
from faregate.base.money import EXACT
from faregate.base.periods import Period, Span
from faregate.domain.catalog.versions import PriceList, PriceSeries
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.aggregate import Aggregate
from faregate.domain.metering.dispatch import MeterTable
from faregate.domain.metering.event import Event, compile_field
from faregate.domain.metering.history import MeterHistory
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.metric import Unmeterable
from faregate.domain.pricing.rating import debit_total
from faregate.services.account_book import rated_part
from faregate.services.debit_usage import meter_total_key
from faregate.services.meter_events import Measured
from faregate.services.meter_totals import combined, moved_by, units_of
from faregate.services.place_usage import Posting, PostingRules
from faregate.services.usage_windows import add_to_window, day_key, new_day, new_window, window_key
from faregate.storage.backfills import already_counted
from faregate.storage.database import Transaction
from faregate.storage.kept_events import AdmittedRow, first_position, read_admitted, read_bodies
from faregate.storage.ledger import PriceTotal, TotalKey, empty_total
from faregate.storage.usage import Window, WindowKey
from faregate.storage.usage_states import Day, DayKey, MeterTotalKey
from faregate.wire.event import decode_event, to_event
from faregate.wire.patterns import compile_pattern

ROWS: Final = 20_000
"""Admitted events looked at in one step."""
BODIES: Final = 500
"""Events decoded at once."""
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecountScope:
    """What is counted: usage of `series`, by `meters`, of `subscriptions` to its plan, in periods that touch `span`.

    `prices` has the series in it, with its corrected terms if any. Windows take memory: only where they are wanted.
    """

    application_id: str
    prices: PriceList
    series: PriceSeries
    meters: Sequence[MeterHistory]
    subscriptions: Sequence[Subscription]
    span: Span
    with_windows: bool = False


class Recount:
    """A recount on its way. Repeat `step` with a later `through` to count events that came since."""

    def __init__(self, scope: RecountScope) -> None:
        self._scope = scope
        self._subscriptions = {found.company_id: found for found in scope.subscriptions}
        self._by_id = {found.subscription_id: found for found in scope.subscriptions}
        # Nothing counts as billed: every event is placed in the period that it happened in.
        self._rules = PostingRules(scope.prices, [(found, found.started_at) for found in scope.subscriptions])
        self._meters = [(history, _tables(history)) for history in sorted(scope.meters, key=lambda one: one.meter_id)]
        self._not_before_us = _first_instant_us(scope)
        self._totals: dict[TotalKey, PriceTotal] = {}
        self._states: dict[MeterTotalKey, Aggregate] = {}
        self._windows: dict[WindowKey, Window] = {}
        self._position: int | None = None
        self.event_count = 0

    @property
    def position(self) -> int:
        """Return the position in the log up to which events are counted."""
        return self._position or 0

    def step(self, transaction: Transaction, *, through: int, most: int = ROWS) -> bool:
        """Count the next events that stand in the log up to `through`; return whether there may be more.

        Raises `InvalidInput` where a unique count would keep too many values.
        """
        if self._position is None:
            self._position = first_position(transaction, self._scope.application_id, from_us=self._not_before_us) - 1
        if self._position >= through:
            return False
        rows = read_admitted(transaction, after=self._position, through=through, limit=most)
        chosen = [row for row in rows if self._is_in_scope(row)]
        for first in range(0, len(chosen), BODIES):
            self._count(transaction, chosen[first : first + BODIES])
        self._position = rows[-1].position if len(rows) == most else through
        return len(rows) == most

    def totals(self) -> dict[TotalKey, PriceTotal]:
        """Return what each version of the price comes to in each period, with `debited` as the account is."""
        for key, total in self._totals.items():
            subscription = self._by_id[key.subscription_id]
            price = subscription.version_paid(self._scope.prices, key.price_id, period_start=key.period_start)
            total.debited = debit_total(price, total.totals)
        return self._totals

    @property
    def states(self) -> dict[MeterTotalKey, Aggregate]:
        """Return the states of meters that are not additive."""
        return self._states

    @property
    def windows(self) -> dict[WindowKey, Window]:
        """Return the usage windows, none of them reported."""
        return self._windows

    def _is_in_scope(self, row: AdmittedRow) -> bool:
        return (
            row.application_id == self._scope.application_id
            and row.occurred_at_us >= self._not_before_us
            and row.company_id in self._subscriptions
        )

    def _count(self, transaction: Transaction, rows: Sequence[AdmittedRow]) -> None:
        positions = [row.position for row in rows]
        bodies = read_bodies(transaction, positions)
        live = _LiveCounts(transaction, positions)
        for row in rows:
            event = to_event(decode_event(bodies[row.position]), row.company_id)
            period = self._period(event)
            if period is None or not self._scope.span.touches(period):
                continue
            self.event_count += 1
            for posting in self._postings(row.position, event, period, live=live):
                self._add(posting)

    def _period(self, event: Event) -> Period | None:
        subscription = self._subscriptions[event.company_id or ""]
        return subscription.period_at(max(event.occurred_at, subscription.started_at))

    def _postings(self, position: int, event: Event, period: Period, *, live: _LiveCounts) -> Iterable[Posting]:
        for history, tables in self._meters:
            counted_as = history.counted_as(position, period)
            for counting in tables[counted_as.number].count(event):
                amount = counting.amount
                if isinstance(amount, Unmeterable):
                    continue
                if counted_as.live and not live.has(history.meter_id, position):
                    continue
                meter = counted_as.meter
                measured = Measured(position, meter, event.company_id or "", event, amount, counting.group)
                placed = self._rules.place(measured)
                if not isinstance(placed, Unmeterable):
                    yield placed

    def _add(self, posting: Posting) -> None:
        key, period = posting.key, posting.period
        if key is None or period is None:
            return
        quantity = self._quantity(posting, key, period)
        total = self._totals.get(key)
        if total is None:
            total = self._totals[key] = empty_total(key.subscription_id, key.price_id, period)
        price = self._scope.prices.version(key.price_id, self._subscriptions[posting.measured.company_id].currency)
        added, so_far = rated_part(price, total, quantity, dimension=posting.dimension)
        total.totals[posting.dimension] = EXACT.add(total.totals.get(posting.dimension, Decimal(0)), added)
        total.settled = EXACT.add(total.settled, quantity)
        if so_far is not None:
            total.events[posting.dimension] = so_far
        if self._scope.with_windows:
            self._add_to_window(posting, quantity)

    def _quantity(self, posting: Posting, key: TotalKey, period: Period) -> Decimal:
        amount = posting.measured.amount
        if isinstance(amount, Decimal):
            return amount
        place = meter_total_key(key, posting)
        self._states[place], quantity = moved_by(self._states.get(place), amount, posting.measured.meter, period=period)
        return quantity

    def _add_to_window(self, posting: Posting, quantity: Decimal) -> None:
        key = window_key(self._scope.application_id, posting)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = new_window(key, posting)
        add_to_window(window, [(posting, quantity)])


class _LiveCounts:
    """Which of some events each meter counted, or tried to, when they came. Asked for a meter when it is needed."""

    def __init__(self, transaction: Transaction, positions: Sequence[int]) -> None:
        self._transaction = transaction
        self._positions = positions
        self._counted: dict[str, set[int]] = {}

    def has(self, meter_id: str, position: int) -> bool:
        """Return whether the meter met the event."""
        found = self._counted.get(meter_id)
        if found is None:
            found = self._counted[meter_id] = already_counted(self._transaction, meter_id, self._positions)
        return position in found


def days_of(windows: Iterable[Window], meters: Iterable[Meter]) -> dict[DayKey, Day]:
    """Return the days that windows add up to: all windows that begin on a day must be there."""
    by_id = {meter.meter_id: meter for meter in meters}
    days: dict[DayKey, Day] = {}
    for window in windows:
        key = day_key(window.key)
        day = days.get(key)
        if day is None:
            day = days[key] = new_day(key)
        day.end_at = max(day.end_at, window.end_at)
        day.event_count += window.event_count
        if window.state is None:
            day.quantity = EXACT.add(day.quantity, window.quantity)
        else:
            day.state = combined(day.state, window.state)
    for key, day in days.items():
        if day.state is not None:
            day.quantity = units_of(by_id[key.meter_id], day.state, Period(key.start_at, day.end_at))
    return days


def first_period(subscription: Subscription, span: Span) -> Period | None:
    """Return the first billing period of a subscription that touches the span; None where none does."""
    found = subscription.period_at(max(span.start, subscription.started_at))
    return found if found is not None and span.touches(found) else None


def _first_instant_us(scope: RecountScope) -> int:
    """Return the earliest instant of an event that may count: a first period has what came before it, too."""
    starts: list[datetime] = []
    for subscription in scope.subscriptions:
        first = first_period(subscription, scope.span)
        if first is not None and first.start <= subscription.started_at:
            return 0
        if first is not None:
            starts.append(first.start)
    return to_microseconds(min(starts)) if starts else 0


def _tables(history: MeterHistory) -> list[MeterTable]:
    return [MeterTable([meter], compile_pattern, compile_field) for meter in history.meters]
