"""Fill a new meter from events that were kept, exactly once.

A backfill has a position of its own in the log, which moves in the transaction of the effects: a crash repeats work,
never effects. It goes up to the last event that was applied when it was asked for; the meter itself counts those that
come later. An event that the meter has counted, in whatever way, is left out. Usage is dated by its event, and charged
as a late event is: to its billing period, as an adjustment where that is invoiced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from faregate.base.clock import Clock
from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.limits import MAX_DETAIL_CHARACTERS, MAX_TRIAL_RANGE
from faregate.domain.metering.dispatch import MeterTable
from faregate.domain.metering.event import compile_field
from faregate.domain.metering.meter import Meter
from faregate.services.account_book import AccountBook
from faregate.services.accounts import refresh_accounts
from faregate.services.admit_events import AdmittedEvent
from faregate.services.business_clock import business_now
from faregate.services.change import Change
from faregate.services.debit_usage import debit_usage
from faregate.services.meter_events import meter_events
from faregate.services.meters import find_existing
from faregate.services.place_usage import place_usage, total_keys
from faregate.storage.backfills import (
    Backfill,
    already_counted,
    backfills_of_meter,
    find_backfill,
    first_unfinished,
    insert_backfill,
    move_backfill,
)
from faregate.storage.database import StoreFault, Transaction
from faregate.storage.events import UnmeterableEvent, add_unmeterable, consumer_position
from faregate.storage.kept_events import KeptEvent, KeptRange, count_kept, read_kept_by_position
from faregate.storage.margins import redo_days
from faregate.storage.metered import read_all_prices
from faregate.storage.meters import find_meter
from faregate.wire.api.meter_trials import BackfillCreate
from faregate.wire.event import decode_event, to_event
from faregate.wire.patterns import compile_pattern

SLICE: Final = 1_000


def start_backfill(transaction: Transaction, change: Change, request: BackfillCreate, *, meter_id: str) -> Backfill:
    """Ask for a backfill; it runs by itself. `NotFound` for the meter, `Conflict` while another of it runs."""
    if not request.from_at < request.to_at <= request.from_at + MAX_TRIAL_RANGE:
        raise InvalidInput.of("to", f"must be after 'from', by at most {MAX_TRIAL_RANGE.days} days")
    meter = find_existing(transaction, change.application_id, meter_id)
    if any(earlier.ended_at is None for earlier in backfills_of_meter(transaction, meter.meter_id)):
        raise Conflict("meter_id", "another backfill of the meter runs; wait until it has ended")
    kept = KeptRange(
        application_id=change.application_id,
        from_at=request.from_at,
        to_at=request.to_at,
        through=consumer_position(transaction),
    )
    backfill = Backfill(
        backfill_id=change.new_id("bkf"),
        meter_id=meter.meter_id,
        kept=kept,
        position=0,
        total=count_kept(transaction, kept),
        read=0,
        counted=0,
        created_at=change.now,
        ended_at=None,
    )
    insert_backfill(transaction, backfill)
    return backfill


def find_existing_backfill(transaction: Transaction, application_id: str, backfill_id: str) -> Backfill:
    """Return the backfill; `NotFound` if there is none of that id."""
    backfill = find_backfill(transaction, application_id, backfill_id)
    if backfill is None:
        raise NotFound("backfill", backfill_id)
    return backfill


def backfill_next(transaction: Transaction, clock: Clock, *, most: int = SLICE) -> bool:
    """Count the next events of the oldest unfinished backfill; return False where there is none."""
    backfill = first_unfinished(transaction)
    if backfill is None:
        return False
    application_id = backfill.kept.application_id
    now = business_now(transaction, application_id, clock)
    meter = find_meter(transaction, application_id, backfill.meter_id)
    rows = (
        [] if meter is None else read_kept_by_position(transaction, backfill.kept, after=backfill.position, limit=most)
    )
    counted = 0
    if meter is not None and rows:
        known = already_counted(transaction, meter.meter_id, [row.position for row in rows])
        left = [row for row in rows if row.position not in known]
        counted = _Filling(transaction, backfill, meter, now=now).count(left)
    has_ended = len(rows) < most
    move_backfill(
        transaction,
        replace(
            backfill,
            position=rows[-1].position if rows else backfill.position,
            read=backfill.read + len(rows),
            counted=backfill.counted + counted,
            ended_at=now if has_ended else None,
        ),
    )
    if has_ended:
        redo_days(transaction, application_id, from_at=backfill.kept.from_at, to_at=backfill.kept.to_at)
    return True


class _Filling:
    """Counts events of one slice for one meter."""

    def __init__(self, transaction: Transaction, backfill: Backfill, meter: Meter, *, now: datetime) -> None:
        self._transaction = transaction
        self._backfill = backfill
        self._meter = meter
        self._table = MeterTable([meter], compile_pattern, compile_field)
        self._now = now

    def count(self, rows: Sequence[KeptEvent]) -> int:
        """Count events; halve until one that cannot be counted stands alone, and say so. Return how many counted."""
        if not rows:
            return 0
        try:
            with self._transaction.begin_nested():
                return self._count(rows)
        except StoreFault:
            raise
        except Exception as error:  # noqa: BLE001 - one bad event must never stop the others
            if len(rows) == 1:
                self._cannot(rows[0], error)
                return 0
            middle = len(rows) // 2
            return self.count(rows[:middle]) + self.count(rows[middle:])

    def _count(self, rows: Sequence[KeptEvent]) -> int:
        transaction, application_id = self._transaction, self._backfill.kept.application_id
        events = [
            AdmittedEvent(position=row.position, event=to_event(decode_event(row.body), row.company_id), facts=None)
            for row in rows
        ]
        measured, unmeterable = meter_events(application_id, self._table, events)
        prices = read_all_prices(transaction)
        postings, unpriced = place_usage(transaction, application_id, measured, prices=prices)
        add_unmeterable(transaction, unmeterable + unpriced)
        book = AccountBook(transaction, prices, total_keys(postings))
        debit_usage(transaction, application_id, postings, book=book, now=self._now, source=self._backfill.backfill_id)
        book.save()
        refresh_accounts(transaction, subscription_ids=book.accounts.keys(), now=self._now)
        return len(postings)

    def _cannot(self, row: KeptEvent, error: Exception) -> None:
        reason = f"{type(error).__name__}: {error}"[:MAX_DETAIL_CHARACTERS]
        add_unmeterable(
            self._transaction,
            [
                UnmeterableEvent(
                    position=row.position,
                    meter_id=self._meter.meter_id,
                    application_id=self._backfill.kept.application_id,
                    reason=reason,
                )
            ],
        )
