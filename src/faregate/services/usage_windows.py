"""Usage windows and days: what a company used of a meter, and when, whether or not it is on a plan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from faregate.base.money import EXACT
from faregate.base.periods import Period, window_containing
from faregate.domain.metering.windows import usage_window
from faregate.services.meter_totals import combined, group_text, units_of
from faregate.services.place_usage import Posting
from faregate.storage.database import Transaction
from faregate.storage.usage import Window, WindowKey, read_windows, write_windows
from faregate.storage.usage_states import Day, DayKey, read_days, write_days

_DAY: Final = timedelta(days=1)
_NOTHING: Final = Decimal(0)


def add_to_windows(
    transaction: Transaction, application_id: str, postings: Sequence[Posting], *, quantities: Sequence[Decimal]
) -> None:
    """Add measured events to their windows and days. `quantities`: by how much each moves its period's total."""
    members: dict[WindowKey, list[tuple[Posting, Decimal]]] = {}
    for posting, quantity in zip(postings, quantities, strict=True):
        members.setdefault(window_key(application_id, posting), []).append((posting, quantity))
    windows = read_windows(transaction, members)
    days = read_days(transaction, {_day_key(key) for key in members})
    for key, added in members.items():
        window = windows.get(key)
        if window is None:
            windows[key] = window = new_window(key, added[0][0])
        add_to_window(window, added)
        _add_to_day(days, window, added)
    write_windows(transaction, windows.values())
    write_days(transaction, days.values())


def add_to_window(window: Window, added: Sequence[tuple[Posting, Decimal]]) -> None:
    """Add measured events, each with the quantity by which it moves its period's total."""
    for posting, quantity in added:
        amount = posting.measured.amount
        if isinstance(amount, Decimal):
            window.quantity = EXACT.add(window.quantity, amount)
        else:
            window.state = combined(window.state, amount)
        window.billed_quantity = EXACT.add(window.billed_quantity, quantity)
    if window.state is not None:
        span = Period(window.key.start_at, window.end_at)
        window.quantity = units_of(added[0][0].measured.meter, window.state, span)
    window.event_count += len(added)
    window.dirty = True


def _add_to_day(days: dict[DayKey, Day], window: Window, added: Sequence[tuple[Posting, Decimal]]) -> None:
    key = _day_key(window.key)
    day = days.get(key)
    if day is None:
        days[key] = day = Day(key=key, end_at=key.start_at + _DAY, quantity=_NOTHING, state=None, event_count=0)
    day.end_at = max(day.end_at, window.end_at)
    for posting, _ in added:
        amount = posting.measured.amount
        if isinstance(amount, Decimal):
            day.quantity = EXACT.add(day.quantity, amount)
        else:
            day.state = combined(day.state, amount)
    if day.state is not None:
        day.quantity = units_of(added[0][0].measured.meter, day.state, Period(key.start_at, day.end_at))
    day.event_count += len(added)


def _day_key(key: WindowKey) -> DayKey:
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
