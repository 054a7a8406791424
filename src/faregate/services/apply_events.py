"""Event -> usage window -> rating -> ledger, exactly once.

Every effect of a batch, and the log position, are in one transaction:

read the log after our position
  -> admit_events    decode, drop repeats, set aside what cannot count, find the company
  -> meter_events    ask every meter for a quantity
  -> debit_usage     windows, period totals, debits, one entry a price
  -> count_limits    what calls use of caps and quotas
  -> settle_leases   drawn units leave their leases
  -> move_consumer   the position commits with the effects
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from faregate.base.clock import Clock
from faregate.base.failpoints import BATCH_APPLIED, reach
from faregate.base.limits import APPLY_BATCH_EVENTS, MAX_DETAIL_CHARACTERS
from faregate.services.account_book import AccountBook
from faregate.services.accounts import refresh_accounts
from faregate.services.admit_events import admit_events
from faregate.services.apply_correction import apply_correction
from faregate.services.bounds import Bounds, count_bounds, merge_bounds
from faregate.services.business_clock import business_now
from faregate.services.count_limits import LimitSet, Used, count_limits
from faregate.services.count_overspend import count_usage
from faregate.services.debit_usage import debit_usage
from faregate.services.known_terms import KnownTerms
from faregate.services.leases import lease_keys
from faregate.services.meter_events import MeterSet, meter_events
from faregate.services.place_usage import place_usage, total_keys
from faregate.services.settle_leases import draws_of, move_sequences, settle_leases, settle_uncounted
from faregate.storage.corrections import Correction, corrections_between
from faregate.storage.database import StoreFault, Transaction
from faregate.storage.events import (
    LoggedEvent,
    SetAside,
    add_set_aside,
    add_unmeterable,
    consumer_position,
    move_consumer,
    read_log,
)
from faregate.storage.leases import read_leases
from faregate.wire.event import sent_facts


class EventApplier:
    """Applies the log in order. One applier a database: its position is a row that it locks."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._meters = MeterSet()
        self.bounds: Bounds = {}
        """What the calls of the last batch held and used."""
        self._limits = LimitSet()

    def apply_next(self, transaction: Transaction, *, most: int = APPLY_BATCH_EVENTS) -> int:
        """Apply up to `most` events; return how many, 0 where the log is drained."""
        logged = read_log(transaction, consumer_position(transaction), most)
        self.bounds = {}
        if not logged:
            return 0
        corrections = corrections_between(transaction, logged[0].position, logged[-1].position)
        # A record of a correction stands alone between the events before and behind it.
        places = groupby(
            logged, key=lambda row: (row.application_id, row.position if row.position in corrections else 0)
        )
        for (_, corrected_at), events in places:
            if corrected_at:
                self._correct_or_set_aside(transaction, next(events), corrections[corrected_at])
            else:
                self._apply_or_isolate(transaction, list(events))
        move_consumer(transaction, logged[-1].position)
        reach(BATCH_APPLIED)
        return len(logged)

    def _apply_or_isolate(self, transaction: Transaction, logged: Sequence[LoggedEvent]) -> None:
        """Apply events of one application; halve until one that cannot be stands alone, and set it aside."""
        try:
            with transaction.begin_nested():
                self._apply(transaction, logged[0].application_id, logged)
        except StoreFault:
            # Not an event's fault: the whole batch is repeated.
            raise
        except Exception as error:  # noqa: BLE001 - one bad event must never stop the log
            if len(logged) == 1:
                self._set_aside(transaction, logged[0], error)
                return
            middle = len(logged) // 2
            self._apply_or_isolate(transaction, logged[:middle])
            self._apply_or_isolate(transaction, logged[middle:])

    def _correct_or_set_aside(self, transaction: Transaction, row: LoggedEvent, correction: Correction) -> None:
        try:
            with transaction.begin_nested():
                now = business_now(transaction, row.application_id, self._clock)
                meters = self._meters.of(transaction, row.application_id)
                apply_correction(transaction, row, correction, meters=meters, now=now)
        except StoreFault:
            raise
        except Exception as error:  # noqa: BLE001 - as for an event
            add_set_aside(transaction, [_unappliable(row, error)])

    def _set_aside(self, transaction: Transaction, row: LoggedEvent, error: Exception) -> None:
        add_set_aside(transaction, [_unappliable(row, error)])
        facts = sent_facts(row.body)
        if facts is not None:
            # Its gateway must not wait for it for ever: nothing more will come of this event.
            now = business_now(transaction, row.application_id, self._clock)
            settle_uncounted(transaction, facts, now=now)

    def _apply(self, transaction: Transaction, application_id: str, logged: Sequence[LoggedEvent]) -> None:
        now = business_now(transaction, application_id, self._clock)
        admission = admit_events(transaction, application_id, logged, now=now)
        measured, unmeterable = meter_events(
            application_id, self._meters.of(transaction, application_id), admission.admitted
        )
        terms = KnownTerms(transaction)
        prices = terms.prices
        postings, unpriced = place_usage(transaction, application_id, measured, prices=prices)
        add_unmeterable(transaction, unmeterable + unpriced)
        drawn = draws_of(transaction, admission)
        leases = read_leases(transaction, drawn)
        book = AccountBook(transaction, prices, total_keys(postings) | lease_keys(leases.values()), terms=terms)
        charges = debit_usage(transaction, application_id, postings, book=book, now=now)
        short = settle_leases(transaction, drawn, leases, book=book)
        bounds = count_bounds(transaction, application_id, admission.admitted, leases=leases, prices=prices)
        book.save()
        count_usage(transaction, book, postings=postings, admitted=admission.admitted, short=short, now=now)
        limits = self._limits.of(transaction, application_id)
        if limits.table:
            count_limits(
                transaction, application_id, limits, used=Used(admission.admitted, charges, book.currencies), now=now
            )
        move_sequences(transaction, admission.facts, now=now)
        refresh_accounts(transaction, subscription_ids=book.accounts.keys(), now=now, terms=terms)
        merge_bounds(self.bounds, bounds)


def _unappliable(row: LoggedEvent, error: Exception) -> SetAside:
    return SetAside(
        position=row.position,
        application_id=row.application_id,
        reason="unappliable",
        detail=f"{type(error).__name__}: {error}"[:MAX_DETAIL_CHARACTERS],
    )
