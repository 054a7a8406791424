"""Usage windows and days: what a company used of a meter, and when, whether or not it is on a plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    keys = [_window_key(application_id, posting) for posting in postings]
    windows = read_windows(transaction, set(keys))
    days = _Days(transaction, keys)
    for key, posting, quantity in zip(keys, postings, quantities, strict=True):
        window = windows.get(key)
        if window is None:
            windows[key] = window = _new_window(key, posting)
        amount, meter = posting.measured.amount, posting.measured.meter
        if isinstance(amount, Decimal):
            window.quantity = EXACT.add(window.quantity, amount)
        else:
            window.state = combined(window.state, amount)
            window.quantity = units_of(meter, window.state, Period(key.start_at, window.end_at))
        window.billed_quantity = EXACT.add(window.billed_quantity, quantity)
        window.event_count += 1
        window.dirty = True
        days.add(window, posting)
    write_windows(transaction, windows.values())
    days.save()


class _Days:
    def __init__(self, transaction: Transaction, keys: Iterable[WindowKey]) -> None:
        self._transaction = transaction
        self._days = read_days(transaction, {_day_key(key) for key in keys})

    def add(self, window: Window, posting: Posting) -> None:
        key = _day_key(window.key)
        day = self._days.get(key)
        if day is None:
            self._days[key] = day = Day(
                key=key, end_at=key.start_at + _DAY, quantity=_NOTHING, state=None, event_count=0
            )
        day.end_at = max(day.end_at, window.end_at)
        amount = posting.measured.amount
        if isinstance(amount, Decimal):
            day.quantity = EXACT.add(day.quantity, amount)
        else:
            day.state = combined(day.state, amount)
            day.quantity = units_of(posting.measured.meter, day.state, Period(key.start_at, day.end_at))
        day.event_count += 1

    def save(self) -> None:
        write_days(self._transaction, self._days.values())


def _day_key(key: WindowKey) -> DayKey:
    start = window_containing(key.start_at, _DAY).start
    return DayKey(key.application_id, key.company_id, key.meter_id, start, key.group_key)


def _cuts(posting: Posting) -> list[Period]:
    return [period for period in (posting.period, posting.priced_in) if period is not None]


def _window_key(application_id: str, posting: Posting) -> WindowKey:
    measured = posting.measured
    start = usage_window(measured.meter.reporting_period, measured.event.occurred_at).start
    for border in _cuts(posting):
        # A window that a billing period or a price begins in is cut there: its usage is reported inside them.
        if start < border.start <= measured.event.occurred_at:
            start = border.start
    subscription_id = posting.key.subscription_id if posting.key is not None else ""
    group = group_text(measured.group)
    return WindowKey(application_id, measured.company_id, measured.meter.meter_id, subscription_id, start, group)


def _new_window(key: WindowKey, posting: Posting) -> Window:
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
