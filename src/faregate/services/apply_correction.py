"""Apply corrections in log order: the record that takes an event back, and the event that stands in its place."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from faregate.base.errors import Conflict
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.domain.ledger.overspend import OverspendCause
from faregate.domain.metering.dispatch import MeterTable
from faregate.domain.metering.event import Event
from faregate.services.account_book import AccountBook
from faregate.services.accounts import refresh_accounts
from faregate.services.admit_events import AdmittedEvent
from faregate.services.count_overspend import count
from faregate.services.debit_usage import debit_usage
from faregate.services.find_event import event_id_of
from faregate.services.meter_events import meter_events
from faregate.services.place_usage import place_usage, total_keys
from faregate.services.take_back import correction_source, take_back
from faregate.storage.corrections import Correction, find_admitted, mark_applied, meters_that_met, stop_counting
from faregate.storage.database import Transaction
from faregate.storage.events import Admitted, LoggedEvent, add_admitted, add_unmeterable, read_logged_event
from faregate.storage.margins import redo_days
from faregate.storage.metered import companies_of_users, read_all_prices
from faregate.wire.event import decode_event, to_event

_INSTANT: Final = timedelta(microseconds=1)


def apply_correction(
    transaction: Transaction, row: LoggedEvent, correction: Correction, *, meters: MeterTable, now: datetime
) -> None:
    """Apply one record of a correction. Raises `Conflict` where there is nothing to take back, or it still counts."""
    original = read_logged_event(transaction, correction.event_position)
    if original is None:
        raise Conflict("event_id", f"there is no event {event_id_of(correction.event_position)}")
    event = to_event(decode_event(original.body), correction.company_id)
    if row.position == correction.position:
        _take_back(transaction, correction, event, now=now)
    else:
        _put_in_place(transaction, row, correction, original=event, meters=meters, now=now)


def _take_back(transaction: Transaction, correction: Correction, event: Event, *, now: datetime) -> None:
    if not stop_counting(transaction, correction.event_position):
        raise Conflict("event_id", "does not count any more")
    prices = read_all_prices(transaction)
    moved = take_back(transaction, correction, event, prices=prices, now=now)
    mark_applied(transaction, correction.position, applied_at=now)
    refresh_accounts(transaction, subscription_ids=moved, now=now)
    redo_days(
        transaction,
        correction.application_id,
        from_at=correction.occurred_at,
        to_at=correction.occurred_at + _INSTANT,
    )


def _put_in_place(
    transaction: Transaction,
    row: LoggedEvent,
    correction: Correction,
    *,
    original: Event,
    meters: MeterTable,
    now: datetime,
) -> None:
    """Charge the event that stands for the original, as it was when that happened, on the meters that it was for."""
    application_id = correction.application_id
    if find_admitted(transaction, application_id, correction.event_position) is not None:
        raise Conflict("event_id", "the event that this one stands for could not be taken back, and still counts")
    event = to_event(decode_event(row.body), _company(transaction, row, correction, original=original))
    add_admitted(
        transaction,
        application_id,
        [Admitted(position=row.position, company_id=event.company_id, occurred_at=event.occurred_at)],
    )
    measured, unmeterable = meter_events(application_id, meters, [AdmittedEvent(row.position, event, None)])
    # A meter that is younger than the original, and was not filled with it, has nothing to do with what corrects it.
    strange = {counting.meter.meter_id for counting in meters.count(original)}
    strange -= meters_that_met(transaction, correction.event_position)
    prices = read_all_prices(transaction)
    kept = [entry for entry in measured if entry.meter.meter_id not in strange]
    postings, unpriced = place_usage(transaction, application_id, kept, prices=prices)
    add_unmeterable(transaction, [one for one in unmeterable if one.meter_id not in strange] + unpriced)
    book = AccountBook(transaction, prices, total_keys(postings))
    debit_usage(
        transaction,
        application_id,
        postings,
        book=book,
        now=now,
        source=correction_source(correction),
        late_as=AdjustmentSource.CORRECTION,
    )
    book.save()
    fallen = book.overspent()
    count(transaction, book, fallen, causes=dict.fromkeys(fallen, OverspendCause.CORRECTION), now=now)
    refresh_accounts(transaction, subscription_ids=book.accounts.keys(), now=now)


def _company(transaction: Transaction, row: LoggedEvent, correction: Correction, *, original: Event) -> str | None:
    """Return the company of the event: as it says, or the original's, unless another user is named."""
    wire = decode_event(row.body)
    if wire.company_id is not None:
        return wire.company_id
    if wire.user_id is None or wire.user_id == original.user_id:
        return correction.company_id
    return companies_of_users(transaction, correction.application_id, [wire.user_id]).get(wire.user_id)
