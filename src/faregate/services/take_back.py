"""Take the effects of an event back, as if it had never been counted: its charges, windows, days and totals.

Nothing that was written is changed but totals: every charge of the event gets one that compensates it, at the place of
the correction in the log. What adds up is subtracted. What does not (the state of a meter, a price by dimension, a
percentage with an allowance) is added up again from the events that are left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Final

from faregate.base.clock import to_microseconds
from faregate.base.errors import Conflict
from faregate.base.money import EXACT
from faregate.base.periods import Period
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.domain.catalog.models import Percentage
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceList
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.event import Event
from faregate.domain.metering.meter import Meter
from faregate.domain.pricing.percentage import EventsSoFar, events_amount
from faregate.domain.pricing.rating import DimensionKey, leaf_of
from faregate.services.account_book import AccountBook, Rated
from faregate.services.adjustments import UsageChange, carry, is_invoiced, owed_before
from faregate.services.left_usage import Left, Place, add_up_left, place_of, state_units
from faregate.services.meter_totals import group_text
from faregate.services.posting import post_entry
from faregate.services.rerated import rerating_over
from faregate.services.usage_windows import day_key
from faregate.storage.corrections import (
    Correction,
    standing_charges,
    window_holding,
)
from faregate.storage.database import Transaction
from faregate.storage.events import Admitted
from faregate.storage.ledger import EntryKind, NewEntry, TotalKey
from faregate.storage.metered import read_subscriptions
from faregate.storage.meters import meters_of_application
from faregate.storage.usage import Charge, Window, WindowKey, add_charges, read_windows, write_windows
from faregate.storage.usage_states import (
    Day,
    delete_meter_totals,
    read_days,
    read_meter_totals,
    write_days,
    write_meter_totals,
)

_DAY: Final = timedelta(days=1)
_NOTHING: Final = Decimal(0)


def require_as_charged(transaction: Transaction, application_id: str, event: Admitted) -> None:
    """Raise `Conflict` where a re-rating has put other figures in place of what the event was charged."""
    rerating_id = rerating_over(
        transaction,
        application_id,
        company_id=event.company_id or "",
        position=event.position,
        occurred_at=event.occurred_at,
    )
    if rerating_id is not None:
        raise Conflict(
            "event_id",
            f"was counted again by the re-rating {rerating_id!r}: its charges are no longer what it costs;"
            " give a credit instead",
        )


def take_back(
    transaction: Transaction, correction: Correction, event: Event, *, prices: PriceList, now: datetime
) -> set[str]:
    """Take back what an event was charged, with compensating charges; return the accounts that moved.

    The event no longer counts (`stop_counting`). What it moved of an invoiced period becomes an adjustment.
    """
    admitted = Admitted(
        position=correction.event_position, company_id=correction.company_id, occurred_at=correction.occurred_at
    )
    require_as_charged(transaction, correction.application_id, admitted)
    charges = standing_charges(transaction, correction.event_position)
    meters = {meter.meter_id: meter for meter in meters_of_application(transaction, correction.application_id)}
    subscriptions = read_subscriptions(transaction, {one.subscription_id for one in charges if one.subscription_id})
    places = [
        place_of(one, event, meters[one.meter_id], prices=prices, subscription=subscriptions.get(one.subscription_id))
        for one in charges
    ]
    _Taking(
        transaction,
        correction,
        event,
        prices=prices,
        subscriptions=subscriptions,
        meters=meters,
        places=places,
    ).run(now)
    return set(subscriptions)


class _Taking:
    """One event on its way back."""

    def __init__(
        self,
        transaction: Transaction,
        correction: Correction,
        event: Event,
        *,
        prices: PriceList,
        subscriptions: dict[str, Subscription],
        meters: dict[str, Meter],
        places: Sequence[Place],
    ) -> None:
        self._transaction = transaction
        self._correction = correction
        self._event = event
        self._prices = prices
        self._subscriptions = subscriptions
        self._places = places
        self._meters = meters

    def run(self, now: datetime) -> None:
        """Move totals, windows, days and states; post the entries and write the compensating charges."""
        transaction, correction = self._transaction, self._correction
        keys = {place.key: place.period for place in self._places if place.key is not None and place.period is not None}
        book = AccountBook(transaction, self._prices, keys)
        before = owed_before(book, [key for key in keys if is_invoiced(transaction, key)])
        taken = [self._take(place) for place in self._places]
        moved = [one.moved for one in taken]
        amounts = self._settle(book, [one.left for one in taken], moved)
        changes = _changes(self._places, moved, amounts)
        entry_ids = {key: self._post(key, change, now=now) for key, change in changes.items() if change.debit}
        add_charges(
            transaction,
            correction.application_id,
            [
                Charge(
                    position=correction.position,
                    meter_id=place.meter.meter_id,
                    company_id=place.charge.company_id,
                    subscription_id=place.charge.subscription_id,
                    price_id=place.charge.price_id,
                    occurred_at=self._event.occurred_at,
                    quantity=quantity,
                    amount=amount,
                    entry_id=None if place.key is None else entry_ids.get(place.key),
                )
                for place, quantity, amount in zip(self._places, moved, amounts, strict=True)
            ],
        )
        carry(
            transaction,
            application_id=correction.application_id,
            book=book,
            before=before,
            changes=changes,
            source=AdjustmentSource.CORRECTION,
            source_id=correction_source(correction),
            now=now,
        )
        book.save()

    def _settle(self, book: AccountBook, lefts: Sequence[Left | None], moved: Sequence[Decimal]) -> list[int]:
        """Move totals; return the debit of each charge that compensates, zero or less as a rule.

        Charges of one total and dimension are settled together where one of them needs a recount: the first has it all.
        """
        amounts = [0] * len(self._places)
        recounted: dict[tuple[TotalKey, DimensionKey], int] = {}
        for number, (place, left) in enumerate(zip(self._places, lefts, strict=True)):
            if place.key is not None and left is not None:
                recounted.setdefault((place.key, place.dimension), number)
        for number, place in enumerate(self._places):
            if place.key is None or place.price is None:
                continue
            first = recounted.get((place.key, place.dimension))
            left = None if first is None else lefts[first]
            if left is None:
                amounts[number] = book.take_back(place.key, place.charge.quantity, place.dimension)
            else:
                rated = _rated(place.price, place.dimension, left.values)
                amounts[number] = book.restate(place.key, rated, place.dimension, moved=moved[number])
        return amounts

    def _post(self, key: TotalKey, change: UsageChange, *, now: datetime) -> int | None:
        correction = self._correction
        return post_entry(
            self._transaction,
            NewEntry(
                application_id=correction.application_id,
                subscription_id=key.subscription_id,
                kind=EntryKind.DEBIT,
                amount=-change.debit,
                caller_id=f"{correction_source(correction)}:{key.price_id}:{to_microseconds(key.period_start)}",
                description=f"takes back the event evt_{correction.event_position}",
                occurred_at=now,
                price_id=key.price_id,
                period_start=key.period_start,
                quantity=change.quantity,
            ),
        )

    def _take(self, place: Place) -> _Taken:
        """Move the window, the day and the period's state of a charge."""
        window = self._window(place)
        day = None if window is None else self._day(window.key)
        left = None
        if not place.is_subtracted:
            left = add_up_left(
                self._transaction,
                self._correction,
                place,
                meters=self._meters,
                subscription=self._subscriptions.get(place.charge.subscription_id),
                window=window,
                day=day,
            )
        moved = self._move_state(place, left)
        if window is not None:
            _take_from_window(window, place, left=left, moved=moved)
            write_windows(self._transaction, [window])
        if day is not None:
            _take_from_day(day, place, left=left)
            write_days(self._transaction, [day])
        return _Taken(left=left, moved=moved)

    def _window(self, place: Place) -> Window | None:
        wanted = WindowKey(
            self._correction.application_id,
            place.charge.company_id,
            place.meter.meter_id,
            place.charge.subscription_id,
            self._event.occurred_at,
            group_text(place.group),
        )
        key = window_holding(self._transaction, wanted, self._event.occurred_at)
        return None if key is None else read_windows(self._transaction, [key]).get(key)

    def _day(self, key: WindowKey) -> Day | None:
        day = day_key(key)
        return read_days(self._transaction, [day]).get(day)

    def _move_state(self, place: Place, left: Left | None) -> Decimal:
        """Return by how many units the period's total moves; a state becomes that of the events that are left."""
        if place.meter.is_additive:
            return EXACT.minus(place.charge.quantity)
        key, period = place.total_key, place.period
        if key is None or period is None or left is None:
            return _NOTHING
        before = read_meter_totals(self._transaction, [key]).get(key)
        if left.total is None:
            delete_meter_totals(self._transaction, [key])
        else:
            write_meter_totals(self._transaction, {key: left.total})
        return EXACT.subtract(state_units(place.meter, left.total, period), state_units(place.meter, before, period))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What is left, where it was counted again, and by how many units the period's total moved."""

    left: Left | None
    moved: Decimal


def _take_from_window(window: Window, place: Place, *, left: Left | None, moved: Decimal) -> None:
    if place.meter.is_additive:
        window.quantity = EXACT.subtract(window.quantity, place.charge.quantity)
    elif left is not None:
        window.state = left.window
        window.quantity = state_units(place.meter, left.window, Period(window.key.start_at, window.end_at))
    window.billed_quantity = EXACT.add(window.billed_quantity, moved)
    window.event_count -= 1
    window.dirty = True


def _take_from_day(day: Day, place: Place, *, left: Left | None) -> None:
    if place.meter.is_additive:
        day.quantity = EXACT.subtract(day.quantity, place.charge.quantity)
    elif left is not None:
        day.state = left.day
        day.quantity = state_units(place.meter, left.day, Period(day.key.start_at, day.end_at))
    day.event_count -= 1


def _rated(price: Price, dimension: DimensionKey, values: Sequence[Decimal]) -> Rated | None:
    """Return what is rated of the events that are left; None where there are none."""
    if not values:
        return None
    leaf = leaf_of(price.model, dimension)
    whole = reduce(EXACT.add, values)
    if not isinstance(leaf, Percentage):
        return Rated(total=whole, events=None)
    return Rated(total=events_amount(leaf, values), events=EventsSoFar(count=len(values), value=whole))


def _changes(places: Sequence[Place], moved: Sequence[Decimal], amounts: Sequence[int]) -> dict[TotalKey, UsageChange]:
    changes: dict[TotalKey, UsageChange] = {}
    for place, quantity, amount in zip(places, moved, amounts, strict=True):
        if place.key is not None:
            known = changes.get(place.key, UsageChange(debit=0, quantity=_NOTHING))
            changes[place.key] = UsageChange(debit=known.debit + amount, quantity=EXACT.add(known.quantity, quantity))
    return changes


def correction_source(correction: Correction) -> str:
    """Return what tells a correction's ledger entries and adjustments apart."""
    return f"correction:{correction.correction_id}"
