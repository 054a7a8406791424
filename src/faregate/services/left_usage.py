"""What is left of usage when an event is taken back: what cannot be subtracted is added up again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from faregate.base.clock import EPOCH
from faregate.base.periods import Period
from faregate.domain.catalog.models import ByDimension, Percentage
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceList
from faregate.domain.customers.subscription import Subscription
from faregate.domain.metering.aggregate import Aggregate
from faregate.domain.metering.event import Event, compile_field
from faregate.domain.metering.meter import GroupKey, Meter, compile_group
from faregate.domain.metering.metric import Unmeterable, compile_state
from faregate.domain.pricing.rating import WHOLE, DimensionKey, leaf_of
from faregate.services.meter_totals import combined, group_text, moved_by, units_of
from faregate.services.place_usage import dimension_of
from faregate.storage.corrections import (
    ChargedEvent,
    Correction,
    StandingCharge,
    charged_events,
    of_meter_or_price,
)
from faregate.storage.database import Transaction
from faregate.storage.ledger import TotalKey
from faregate.storage.usage import Window
from faregate.storage.usage_states import (
    Day,
    MeterTotalKey,
)
from faregate.wire.event import decode_event, to_event

_NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A charge that is taken back, and where it is counted. `key` is None where the company has no such plan."""

    charge: StandingCharge
    meter: Meter
    group: GroupKey
    period: Period | None
    key: TotalKey | None
    price: Price | None
    dimension: DimensionKey

    @property
    def total_key(self) -> MeterTotalKey | None:
        """Return the state of the period that the event is in."""
        if self.key is None:
            return None
        group = group_text((*self.dimension, *self.group))
        return MeterTotalKey(self.key.subscription_id, self.meter.meter_id, self.key.period_start, group)

    @property
    def is_subtracted(self) -> bool:
        """Return whether what the event counted for can be subtracted from what is left."""
        return self.meter.is_additive and (self.price is None or not _needs_recount(self.price, self.dimension))


@dataclass(slots=True)
class Left:
    """What the events that are left come to: of the price's dimension, the period, the window and the day."""

    values: list[Decimal] = field(default_factory=list)
    total: Aggregate | None = None
    window: Aggregate | None = None
    day: Aggregate | None = None


def _needs_recount(price: Price, dimension: DimensionKey) -> bool:
    leaf = leaf_of(price.model, dimension)
    has_allowance = isinstance(leaf, Percentage) and (leaf.free_events is not None or leaf.free_value is not None)
    return has_allowance or isinstance(price.model, ByDimension)


def place_of(
    charge: StandingCharge, event: Event, meter: Meter, *, prices: PriceList, subscription: Subscription | None
) -> Place:
    """Return where a charge of an event is counted: by its own version of the price, in the period of the event."""
    group = compile_group(meter)(event)
    period = None if subscription is None else subscription.period_at(max(event.occurred_at, subscription.started_at))
    if subscription is None or period is None:
        return Place(charge=charge, meter=meter, group=group, period=None, key=None, price=None, dimension=WHOLE)
    price = subscription.version_paid(prices, charge.price_id, period_start=period.start)
    return Place(
        charge=charge,
        meter=meter,
        group=group,
        period=period,
        key=TotalKey(charge.subscription_id, charge.price_id, period.start),
        price=price,
        dimension=_dimension(price, event),
    )


def _dimension(price: Price, event: Event) -> DimensionKey:
    found = dimension_of(price, event.fields, compile_field)
    return WHOLE if isinstance(found, Unmeterable) else found


def add_up_left(
    transaction: Transaction,
    correction: Correction,
    place: Place,
    *,
    meters: Mapping[str, Meter],
    subscription: Subscription | None,
    window: Window | None,
    day: Day | None,
) -> Left:
    """Add up the events that are left beside one that is taken back, in log order."""
    charge = place.charge
    counted_in = _counted_in(place, subscription)
    spans = [] if counted_in is None else [(counted_in.start, counted_in.end)]
    if day is not None:
        spans.append((day.key.start_at, day.end_at))
    if not spans:
        return Left()
    adding = _Adding(place, window=window, day=day, counted_in=counted_in)
    rows = charged_events(
        transaction,
        correction.application_id,
        charge.company_id,
        between=(min(start for start, _ in spans), max(end for _, end in spans)),
        of_meters=of_meter_or_price(charge.meter_id, charge.subscription_id, charge.price_id),
    )
    with closing(rows):
        for row in rows:
            adding.add(row, meters[row.meter_id])
    return adding.left


class _Adding:
    """Adds up events that are left, each to where it belongs beside the event that is taken back."""

    def __init__(self, place: Place, *, window: Window | None, day: Day | None, counted_in: Period | None) -> None:
        self.left = Left()
        self._place = place
        self._window = window
        self._day = day
        self._counted_in = counted_in
        self._states: dict[tuple[str, GroupKey], Aggregate] = {}

    def add(self, row: ChargedEvent, meter: Meter) -> None:
        """Add a charge's event."""
        place = self._place
        event = to_event(decode_event(row.body), place.charge.company_id)
        group = compile_group(meter)(event)
        state = None if meter.is_additive else _state(meter, event)
        is_own = row.subscription_id == place.charge.subscription_id and row.price_id == place.charge.price_id
        if (
            is_own
            and place.price is not None
            and self._counted_in is not None
            and event.occurred_at in self._counted_in
        ):
            dimension = _dimension(place.price, event)
            if dimension == place.dimension:
                self.left.values.append(self._value(row, meter, group, state=state))
                if row.meter_id == place.charge.meter_id and group == place.group:
                    self.left.total = _merged(self.left.total, state)
        if row.meter_id != place.charge.meter_id or group != place.group:
            return
        at, window, day = event.occurred_at, self._window, self._day
        if window is not None and is_own and window.key.start_at <= at < window.end_at:
            self.left.window = _merged(self.left.window, state)
        if day is not None and day.key.start_at <= at < day.end_at:
            self.left.day = _merged(self.left.day, state)

    def _value(self, row: ChargedEvent, meter: Meter, group: GroupKey, *, state: Aggregate | None) -> Decimal:
        """Return by how much the event moves the total, without the one that is taken back."""
        period = self._place.period
        if state is None or period is None:
            return row.quantity
        key = row.meter_id, group
        self._states[key], moved = moved_by(self._states.get(key), state, meter, period=period)
        return moved


def _counted_in(place: Place, subscription: Subscription | None) -> Period | None:
    """Return when events of the period happened: of a subscription's first, before it began too."""
    period = place.period
    if period is None or subscription is None or period.start != subscription.started_at:
        return period
    return Period(EPOCH, period.end)


def _state(meter: Meter, event: Event) -> Aggregate | None:
    found = compile_state(meter.metric, compile_field)(event.fields, event)
    return None if isinstance(found, Unmeterable) else found


def _merged(left: Aggregate | None, state: Aggregate | None) -> Aggregate | None:
    return left if state is None else combined(left, state)


def state_units(meter: Meter, state: Aggregate | None, period: Period) -> Decimal:
    """Return what a state comes to over a period; nothing where there is none."""
    return _NOTHING if state is None else units_of(meter, state, period)
