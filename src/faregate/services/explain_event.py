"""What became of one event, and why: admitted or not, what every meter made of it, and where each charge is billed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from faregate.base.errors import InvalidInput
from faregate.base.money import Currency, currency, from_ledger_units
from faregate.base.periods import Period
from faregate.domain.catalog.versions import PriceList
from faregate.domain.metering.event import Event, compile_field
from faregate.domain.metering.matching import Mismatch, explain_mismatch
from faregate.domain.metering.meter import Meter, compile_group
from faregate.domain.metering.metric import Unmeterable
from faregate.services.corrections import correction_view
from faregate.services.find_event import event_id_of, find_event, late_events, readable_event
from faregate.services.meter_totals import group_text
from faregate.services.place_usage import dimension_of
from faregate.storage.adjustments import Adjustment, adjustments_of_total
from faregate.storage.billing import invoices_of_subscription
from faregate.storage.corrections import Correction, correction_of, correction_that_made, find_admitted
from faregate.storage.database import Transaction
from faregate.storage.effects import (
    BilledWindow,
    EventEffect,
    WindowPlace,
    effects_of_event,
    find_window,
)
from faregate.storage.events import IngestedEvent, applied_position, find_identities
from faregate.storage.leases import read_leases
from faregate.storage.ledger import TotalKey
from faregate.storage.metered import read_all_prices
from faregate.storage.meters import meters_of_application
from faregate.storage.readings import set_aside_of_event, unmeterable_of_event
from faregate.storage.subscriptions import SubscriptionRow, find_subscription
from faregate.wire.api.common import plain
from faregate.wire.api.explanations import (
    AttemptView,
    BilledAs,
    CountedView,
    DrawnView,
    EntryRefView,
    EventExplanationView,
    Fate,
    MeterOutcomeView,
    Outcome,
    TakenBackView,
)
from faregate.wire.api.meter_trials import MismatchView
from faregate.wire.event import WireEvent, as_utc, content_hash, identity, raw_hash, to_event
from faregate.wire.patterns import compile_pattern

_BLOCKED: Final = "no rule refused the call"
_LATER: Final = "it matches now, but the meter was made, or changed, after the event was applied"
_NOT_YET: Final = "the event waits to be applied"
_NOT_ADMITTED: Final = "the event does not count: see why above"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fate:
    fate: Fate
    reason: str | None = None
    repeat_of: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """An event that can be read, and what is stored of it."""

    application_id: str
    position: int
    event: Event
    fate: Fate
    effects: dict[str, EventEffect]
    record: int | None
    compensating: dict[str, EventEffect]
    unmeterable: dict[str, str]
    prices: PriceList


def explain_event(transaction: Transaction, application_id: str, event_id: str) -> EventExplanationView:
    """Return what became of an event and why, by either id that `find_event` knows; `NotFound` if there is none."""
    logged = find_event(transaction, application_id, event_id)
    wire = readable_event(logged)
    admitted = find_admitted(transaction, application_id, logged.position)
    correction = correction_of(transaction, logged.position)
    made_by = correction_that_made(transaction, logged.position)
    fate = _Fate(fate=Fate.ADMITTED) if admitted is not None else _not_admitted(transaction, logged, wire)
    company_id = wire.company_id if wire else None
    if admitted is not None or correction is not None:
        company_id = admitted.company_id if admitted is not None else correction.company_id if correction else None
    event = None if wire is None else _event(wire, company_id)
    return EventExplanationView(
        event_id=event_id_of(logged.position),
        request_id=wire.faregate.request_id if wire and wire.faregate else None,
        occurred_at=as_utc(wire.request.time) if wire else None,
        ingested_at=logged.ingested_at,
        company_id=company_id,
        user_id=wire.user_id if wire else None,
        route=wire.request.route if wire else None,
        status=wire.response.status if wire and wire.response else None,
        blocked_by=wire.blocked_by if wire else None,
        fate=fate.fate,
        reason=fate.reason,
        repeat_of=None if fate.repeat_of is None else event_id_of(fate.repeat_of),
        corrects=None if made_by is None else event_id_of(made_by.event_position),
        corrected_by=None if correction is None else correction_view(correction),
        meters=[] if event is None else _outcomes(transaction, logged, event, fate=fate.fate, correction=correction),
        leases=[] if wire is None else _drawn(transaction, wire),
        attempts=[] if wire is None else _attempts(wire),
        credit_ended=wire.faregate.credit_ended if wire and wire.faregate else None,
    )


def _event(wire: WireEvent, company_id: str | None) -> Event | None:
    try:
        return to_event(wire, company_id)
    except InvalidInput:
        return None


def _not_admitted(transaction: Transaction, logged: IngestedEvent, wire: WireEvent | None) -> _Fate:
    aside = set_aside_of_event(transaction, logged.position)
    if aside is not None:
        return _Fate(fate=Fate.SET_ASIDE, reason=f"{aside.reason}: {aside.detail}")
    if logged.position > applied_position(transaction):
        return _Fate(fate=Fate.WAITING, reason=_NOT_YET)
    taken_back = correction_of(transaction, logged.position)
    if taken_back is not None:
        return _Fate(
            fate=Fate.CANCELLED if taken_back.replacement_position is None else Fate.CORRECTED,
            reason=f"taken back by the correction {taken_back.correction_id!r}: {taken_back.reason}",
        )
    record = correction_that_made(transaction, logged.position)
    if record is not None:
        return _Fate(fate=Fate.CORRECTION, reason=f"takes {event_id_of(record.event_position)} back: {record.reason}")
    earlier = None if wire is None else _earlier(transaction, logged, wire)
    if earlier is None:
        return _Fate(fate=Fate.REPEAT, reason="the same call was applied before")
    return _Fate(
        fate=Fate.REPEAT, reason=f"the same call was applied before, as {event_id_of(earlier)}", repeat_of=earlier
    )


def _earlier(transaction: Transaction, logged: IngestedEvent, wire: WireEvent) -> int | None:
    """Return where the call stands whose identity the event has."""
    body_hash = content_hash(logged.body) if wire.faregate is None else raw_hash(logged.body)
    known = identity(wire, body_hash)
    found = find_identities(transaction, logged.application_id, [known]).get(known)
    return None if found is None else found.position


def _outcomes(
    transaction: Transaction, logged: IngestedEvent, event: Event, *, fate: Fate, correction: Correction | None
) -> list[MeterOutcomeView]:
    known = _Known(
        application_id=logged.application_id,
        position=logged.position,
        event=event,
        fate=fate,
        effects=effects_of_event(transaction, logged.position),
        record=None if correction is None else correction.position,
        compensating={} if correction is None else effects_of_event(transaction, correction.position),
        unmeterable={row.meter_id: row.reason for row in unmeterable_of_event(transaction, logged.position)},
        prices=read_all_prices(transaction),
    )
    meters = meters_of_application(transaction, logged.application_id)
    return [_outcome(transaction, known, meter) for meter in meters]


def _outcome(transaction: Transaction, known: _Known, meter: Meter) -> MeterOutcomeView:
    effect = known.effects.get(meter.meter_id)
    reason = known.unmeterable.get(meter.meter_id)
    mismatches: list[Mismatch] = []
    if effect is not None:
        outcome = Outcome.COUNTED
    elif reason is not None:
        outcome = Outcome.UNMETERABLE
    else:
        mismatches = _mismatches(known.event, meter)
        outcome = Outcome.NOT_MATCHED if mismatches else Outcome.NOT_COUNTED
        reason = None if mismatches else _why_not_counted(known.fate)
    return MeterOutcomeView(
        meter_id=meter.meter_id,
        name=meter.name,
        outcome=outcome,
        reason=reason,
        mismatches=[MismatchView(field=one.field, actual=one.actual, expected=one.expected) for one in mismatches],
        counted=None if effect is None else _counted(transaction, known, meter, effect=effect),
    )


def _mismatches(event: Event, meter: Meter) -> list[Mismatch]:
    if event.blocked_by is not None:
        return [Mismatch(field="blocked_by", actual=event.blocked_by, expected=_BLOCKED)]
    return explain_mismatch(meter.filter, compile_pattern, event.fields)


def _why_not_counted(fate: Fate) -> str:
    if fate is Fate.ADMITTED:
        return _LATER
    return _NOT_YET if fate is Fate.WAITING else _NOT_ADMITTED


def _counted(transaction: Transaction, known: _Known, meter: Meter, *, effect: EventEffect) -> CountedView:
    row = find_subscription(transaction, known.application_id, effect.subscription_id)
    series = known.prices.series_of(effect.price_id)
    unit = series.currencies[0] if series is not None else currency("USD")
    if row is not None:
        unit = row.subscription.currency
    group = compile_group(meter)(known.event)
    window = find_window(
        transaction,
        WindowPlace(
            application_id=known.application_id,
            company_id=effect.company_id,
            meter_id=meter.meter_id,
            subscription_id=effect.subscription_id,
        ),
        group_key=group_text(group),
        occurred_at=known.event.occurred_at,
    )
    period = None if row is None else _period(row, effect, window)
    billed, invoice_id, number = _billed(transaction, known, row, effect=effect, period=period)
    return CountedView(
        quantity=plain(effect.quantity),
        amount=plain(from_ledger_units(effect.amount, unit)),
        currency=unit.code,
        price_id=effect.price_id,
        price_name="" if series is None else series.name,
        dimension=_dimension(known, effect, row),
        group=list(group),
        window_start=None if window is None else window.start_at,
        window_end=None if window is None else window.end_at,
        subscription_id=effect.subscription_id or None,
        period_start=None if period is None else period.start,
        period_end=None if period is None else period.end,
        entry=None
        if effect.entry_id is None or effect.entry_amount is None
        else EntryRefView(
            entry_id=effect.entry_id,
            amount=plain(from_ledger_units(effect.entry_amount, unit)),
            description=effect.entry_words or "",
        ),
        billed=billed,
        invoice_id=invoice_id,
        invoice_line=number,
        taken_back=_taken_back(known, meter, unit),
    )


def _taken_back(known: _Known, meter: Meter, unit: Currency) -> TakenBackView | None:
    effect = known.compensating.get(meter.meter_id)
    if effect is None or known.record is None:
        return None
    return TakenBackView(
        event_id=event_id_of(known.record),
        quantity=plain(effect.quantity),
        amount=plain(from_ledger_units(effect.amount, unit)),
    )


def _period(row: SubscriptionRow, effect: EventEffect, window: BilledWindow | None) -> Period | None:
    """Return the period that the charge is of: as its entry says, or its window where it cost nothing."""
    start: datetime | None = effect.period_start or (None if window is None else window.period_start)
    return None if start is None else row.subscription.period_at(start)


def _dimension(known: _Known, effect: EventEffect, row: SubscriptionRow | None) -> list[str]:
    if row is None:
        return []
    price = known.prices.version(effect.price_id, row.subscription.currency)
    found = dimension_of(price, known.event.fields, compile_field)
    return [] if isinstance(found, Unmeterable) else list(found)


def _billed(
    transaction: Transaction, known: _Known, row: SubscriptionRow | None, *, effect: EventEffect, period: Period | None
) -> tuple[BilledAs, str | None, int | None]:
    """Return where the charge is billed, and on which line of which invoice."""
    if row is None or period is None:
        return BilledAs.NOBODY, None, None
    if row.billed_until <= period.start:
        return BilledAs.OPEN_PERIOD, None, None
    key = TotalKey(effect.subscription_id, effect.price_id, period.start)
    late = _adjustment(transaction, known.position, key)
    if late is not None and late.billed_in is None:
        return BilledAs.ADJUSTMENT, None, None
    billed_in = period.start if late is None else late.billed_in
    adjusts = None if late is None else period.start
    for invoice in invoices_of_subscription(transaction, effect.subscription_id):
        for number, line in enumerate(invoice.lines, start=1):
            if (invoice.period.start, line.adjusts, line.price_id) == (billed_in, adjusts, effect.price_id):
                return BilledAs.INVOICED, invoice.invoice_id, number
    return BilledAs.CLOSED_PERIOD, None, None


def _adjustment(transaction: Transaction, position: int, key: TotalKey) -> Adjustment | None:
    """Return the adjustment that a late event is part of."""
    for found in adjustments_of_total(transaction, key):
        span = late_events(found)
        if span is not None and span[0] <= position <= span[1]:
            return found
    return None


def _attempts(wire: WireEvent) -> list[AttemptView]:
    return [
        AttemptView(
            attempt=one.attempt,
            upstream=one.upstream,
            asked_at=as_utc(one.asked_at),
            status=one.status,
            usage=one.usage,
        )
        for one in (wire.faregate.attempts if wire.faregate else ())
    ]


def _drawn(transaction: Transaction, wire: WireEvent) -> list[DrawnView]:
    drawn = wire.faregate.drawn if wire.faregate else []
    leases = read_leases(transaction, {one.lease_id for one in drawn}) if drawn else {}
    return [
        DrawnView(
            lease_id=one.lease_id,
            price_id=leases[one.lease_id].price_id if one.lease_id in leases else None,
            units=one.units,
        )
        for one in drawn
    ]
