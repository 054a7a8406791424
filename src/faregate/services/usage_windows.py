"""Usage windows and days: what a company used of a meter, and when, whether or not it is on a plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from faregate.base.money import EXACT
from faregate.base.periods import Period, window_containing
from faregate.domain.metering.aggregate import Aggregate
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.windows import usage_window
from faregate.services.meter_totals import combined, group_text, units_of
from faregate.services.place_usage import Posting
from faregate.storage.database import Transaction
from faregate.storage.usage import Window, WindowKey, read_windows, write_windows
from faregate.storage.usage_states import Day, DayKey, read_days, write_days

_DAY: Final = timedelta(days=1)
_NOTHING: Final = Decimal(0)


class Usage(NamedTuple):
    """What events of one window come to: `units` of an additive meter, the `state` of any other.

    `billed`: what they add to the period's total.
    """

    meter: Meter
    units: Decimal
    state: Aggregate | None
    billed: Decimal
    event_count: int


class _Stretch(NamedTuple):
    """Where usage of one company and meter goes from `since` until `until` while its posting looks the same."""

    posting: Posting
    since: datetime
    until: datetime
    added: list[tuple[Posting, Decimal]]

    def holds(self, posting: Posting) -> bool:
        """Return whether another usage belongs to the same window. Objects that are the same are equal."""
        known = self.posting
        return (
            known.key is posting.key
            and known.period is posting.period
            and known.priced_in is posting.priced_in
            and known.measured.group == posting.measured.group
            and self.since <= posting.measured.event.occurred_at < self.until
        )


def add_to_windows(
    transaction: Transaction, application_id: str, postings: Sequence[Posting], *, quantities: Sequence[Decimal]
) -> None:
    """Add measured events to their windows and days. `quantities`: by how much each moves its period's total."""
    members = _by_window(application_id, postings, quantities)
    windows = read_windows(transaction, members)
    days = read_days(transaction, {day_key(key) for key in members})
    for key, added in members.items():
        window = windows.get(key)
        if window is None:
            windows[key] = window = new_window(key, added[0][0])
        usage = add_to_window(window, added)
        _add_to_day(days, window, usage)
    write_windows(transaction, windows.values())
    write_days(transaction, days.values())


def _by_window(
    application_id: str, postings: Sequence[Posting], quantities: Sequence[Decimal]
) -> dict[WindowKey, list[tuple[Posting, Decimal]]]:
    members: dict[WindowKey, list[tuple[Posting, Decimal]]] = {}
    recent: dict[tuple[str, str], _Stretch] = {}
    for entry in zip(postings, quantities, strict=True):
        posting = entry[0]
        place = posting.measured.meter.meter_id, posting.measured.company_id
        stretch = recent.get(place)
        if stretch is None or not stretch.holds(posting):
            key = window_key(application_id, posting)
            added = members.setdefault(key, [])
            recent[place] = stretch = _Stretch(posting, key.start_at, _next_border(key, posting), added)
        stretch.added.append(entry)
    return members


def add_to_window(window: Window, added: Sequence[tuple[Posting, Decimal]]) -> Usage:
    """Add measured events, each with the quantity by which it moves its period's total; return what they come to."""
    usage = _usage_of(added)
    window.quantity = EXACT.add(window.quantity, usage.units)
    window.billed_quantity = EXACT.add(window.billed_quantity, usage.billed)
    if usage.state is not None:
        window.state = combined(window.state, usage.state)
        window.quantity = units_of(usage.meter, window.state, Period(window.key.start_at, window.end_at))
    window.event_count += usage.event_count
    window.dirty = True
    return usage


def _usage_of(added: Sequence[tuple[Posting, Decimal]]) -> Usage:
    units, billed, state = _NOTHING, _NOTHING, None
    for posting, quantity in added:
        amount = posting.measured.amount
        if isinstance(amount, Decimal):
            units = EXACT.add(units, amount)
        else:
            state = combined(state, amount)
        billed = EXACT.add(billed, quantity)
    return Usage(added[0][0].measured.meter, units, state, billed, len(added))


def _add_to_day(days: dict[DayKey, Day], window: Window, usage: Usage) -> None:
    key = day_key(window.key)
    day = days.get(key)
    if day is None:
        days[key] = day = new_day(key)
    day.end_at = max(day.end_at, window.end_at)
    day.quantity = EXACT.add(day.quantity, usage.units)
    if usage.state is not None:
        day.state = combined(day.state, usage.state)
        day.quantity = units_of(usage.meter, day.state, Period(key.start_at, day.end_at))
    day.event_count += usage.event_count


def new_day(key: DayKey) -> Day:
    """Return a day on which nothing is used."""
    return Day(key=key, end_at=key.start_at + _DAY, quantity=_NOTHING, state=None, event_count=0)


def day_key(key: WindowKey) -> DayKey:
    """Return the day, in UTC, that a window begins on."""
    start = window_containing(key.start_at, _DAY).start
    return DayKey(key.application_id, key.company_id, key.meter_id, start, key.group_key)


def _cuts(posting: Posting) -> list[Period]:
    return [period for period in (posting.period, posting.priced_in) if period is not None]


def window_key(application_id: str, posting: Posting) -> WindowKey:
    """Return the window that a measured event belongs to."""
    measured = posting.measured
    start = usage_window(measured.meter.reporting_period, measured.event.occurred_at).start
    for border in _cuts(posting):
        # A window that a billing period or a price begins in is cut there: its usage is reported inside them.
        if start < border.start <= measured.event.occurred_at:
            start = border.start
    subscription_id = posting.key.subscription_id if posting.key is not None else ""
    group = group_text(measured.group)
    return WindowKey(application_id, measured.company_id, measured.meter.meter_id, subscription_id, start, group)


def _next_border(key: WindowKey, posting: Posting) -> datetime:
    """Return the instant from which on usage like this may belong to another window."""
    end = usage_window(posting.measured.meter.reporting_period, key.start_at).end
    borders = [instant for border in _cuts(posting) for instant in (border.start, border.end)]
    return min([end, *(border for border in borders if border > key.start_at)])


def new_window(key: WindowKey, posting: Posting) -> Window:
    """Return the empty window of a measured event."""
    end = usage_window(posting.measured.meter.reporting_period, key.start_at).end
    for border in _cuts(posting):
        if key.start_at < border.end < end:
            end = border.end
    return Window(
        key=key,
        end_at=end,
        period_start=posting.period.start if posting.period is not None else key.start_at,
        quantity=_NOTHING,
        state=None,
        billed_quantity=_NOTHING,
        event_count=0,
        reported_quantity=_NOTHING,
        reported_revision=0,
        dirty=True,
    )
