"""An application's business time: the wall clock plus an offset that only grows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from faregate.base.clock import Clock
from faregate.base.errors import InvalidInput, NotFound
from faregate.base.limits import MAX_CLOCK_AHEAD
from faregate.storage.applications import find_application, set_clock_offset
from faregate.storage.database import Database, Transaction
from faregate.storage.state_feed import record_change

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessTime:
    """The business time of an application, and how far it runs ahead of the wall clock."""

    now: datetime
    offset: timedelta


def read_clock(transaction: Transaction, application_id: str, clock: Clock) -> BusinessTime:
    """Return the application's business time; `NotFound` for an unknown application."""
    application = find_application(transaction, application_id)
    if application is None:
        raise NotFound("application", application_id)
    offset = timedelta(microseconds=application.clock_offset_us)
    return BusinessTime(now=clock.now() + offset, offset=offset)


def business_now(transaction: Transaction, application_id: str, clock: Clock) -> datetime:
    """Return the application's business time as an instant."""
    return read_clock(transaction, application_id, clock).now


class ApplicationClock:
    """A `Clock` whose instants are an application's business time."""

    def __init__(self, database: Database, application_id: str, clock: Clock) -> None:
        self._database = database
        self._application_id = application_id
        self._clock = clock

    def now(self) -> datetime:
        """Return the business time."""
        with self._database.snapshot() as transaction:
            return business_now(transaction, self._application_id, self._clock)

    def steady_ms(self) -> int:
        """Return what the machine's clock says: durations are nobody's business time."""
        return self._clock.steady_ms()


def advance_clock(
    transaction: Transaction, application_id: str, clock: Clock, *, step: datetime | timedelta
) -> BusinessTime:
    """Move business time forward, to an instant or by a duration; the caller runs a billing tick after the commit.

    Raises `InvalidInput`, on `to` or `by_seconds`, for a step that is not forward or leads beyond `MAX_CLOCK_AHEAD`.
    """
    before = read_clock(transaction, application_id, clock)
    field, by = ("by_seconds", step) if isinstance(step, timedelta) else ("to", step - before.now)
    if by <= timedelta(0):
        raise InvalidInput.of(field, f"business time only moves forward; it is {before.now.isoformat()} now")
    if before.offset + by > MAX_CLOCK_AHEAD:
        raise InvalidInput.of(
            field, f"business time may run at most {MAX_CLOCK_AHEAD.days} days ahead of the wall clock"
        )
    set_clock_offset(transaction, application_id, (before.offset + by) // _MICROSECOND)
    record_change(transaction, "clock", application_id)
    return BusinessTime(now=before.now + by, offset=before.offset + by)
