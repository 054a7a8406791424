"""Read what came of calls: charges, a single event with its effects, a balance, and the ledger behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Raw

from faregate.base.money import Currency, currency, from_ledger_units
from faregate.domain.catalog.price import Price
from faregate.domain.ledger.credit_account import Movement
from faregate.domain.pricing.paid_ahead import units_paid_ahead
from faregate.services.corrections import correction_view
from faregate.services.find_event import event_id_of, find_event, readable_event
from faregate.services.subscriptions import find_existing
from faregate.storage import readings as stored
from faregate.storage.corrections import correction_of, correction_that_made
from faregate.storage.credit import first_expiry, movements_of_entries
from faregate.storage.database import Transaction
from faregate.storage.events import IngestedEvent
from faregate.storage.ledger import PriceTotal, TotalKey, empty_total, read_account, read_totals
from faregate.storage.metered import series_of_plan
from faregate.storage.readings import ChargeReading, EntryReading, Selection, SetAsideReading, UnmeterableCount
from faregate.wire.api.common import CursorNumber, Page, decode_cursor, encode_cursor, plain
from faregate.wire.api.readings import (
    BalanceView,
    ChargeView,
    EventView,
    GrantMovementView,
    LedgerEntryView,
    PriceBalanceView,
    SetAsideView,
    UnmeterableView,
)
from faregate.wire.event import as_utc, is_json


def read_charges(transaction: Transaction, selection: Selection, *, cursor: str | None, limit: int) -> Page[ChargeView]:
    """Return charges in the order in which they were made."""
    after = (0, "") if cursor is None else decode_cursor(cursor, tuple[CursorNumber, str])
    rows = stored.read_charges(transaction, selection, after=after, limit=limit + 1)
    return Page(
        data=[_charge_view(row) for row in rows[:limit]],
        next_cursor=encode_cursor(rows[limit - 1].position, rows[limit - 1].meter_id) if len(rows) > limit else None,
    )


def read_event(transaction: Transaction, application_id: str, event_id: str) -> EventView:
    """Return an event with its effects, by either id that `find_event` knows; `NotFound` if there is none."""
    return _event_view(transaction, find_event(transaction, application_id, event_id))


def read_balance(transaction: Transaction, application_id: str, subscription_id: str, *, now: datetime) -> BalanceView:
    """Return a subscription's credit and, price by price, the period that holds the business time `now`."""
    subscription = find_existing(transaction, application_id, subscription_id).subscription
    account = read_account(transaction, subscription_id)
    unit = subscription.currency
    period = subscription.period_at(now)
    prices: list[Price] = []
    totals = {}
    if period is not None:
        series = series_of_plan(transaction, subscription.plan_id)
        prices = [subscription.price_of(one, at=now, period=period) for one in series]
        keys = [TotalKey(subscription_id, price.price_id, period.start) for price in prices]
        found = read_totals(transaction, keys)
        totals = {key.price_id: found.get(key) or empty_total(subscription_id, key.price_id, period) for key in keys}
    return BalanceView(
        subscription_id=subscription_id,
        currency=unit.code,
        balance=plain(from_ledger_units(account.balance, unit)),
        reserved=plain(from_ledger_units(account.reserved, unit)),
        available=plain(from_ledger_units(account.available, unit)),
        exhausted=account.exhausted,
        next_expiry_at=first_expiry(transaction, subscription_id, after=now),
        prices=[_price_balance(price, totals[price.price_id]) for price in prices],
    )


def read_ledger(
    transaction: Transaction, application_id: str, subscription_id: str, *, cursor: str | None, limit: int
) -> Page[LedgerEntryView]:
    """Return a subscription's ledger entries, oldest first."""
    unit = find_existing(transaction, application_id, subscription_id).subscription.currency
    (after,) = (0,) if cursor is None else decode_cursor(cursor, tuple[CursorNumber])
    rows = stored.read_entries(transaction, subscription_id, after=after, limit=limit + 1)
    return Page(
        data=_entry_views(transaction, subscription_id, rows[:limit], unit=unit),
        next_cursor=encode_cursor(rows[limit - 1].entry_id) if len(rows) > limit else None,
    )


def read_latest_entries(
    transaction: Transaction, application_id: str, subscription_id: str, *, limit: int
) -> tuple[LedgerEntryView, ...]:
    """Return a subscription's latest ledger entries, newest first."""
    unit = find_existing(transaction, application_id, subscription_id).subscription.currency
    rows = stored.read_latest_entries(transaction, subscription_id, limit=limit)
    return tuple(_entry_views(transaction, subscription_id, rows, unit=unit))


def read_set_aside(
    transaction: Transaction, application_id: str, *, cursor: str | None, limit: int
) -> Page[SetAsideView]:
    """Return events that were kept and not metered, oldest first."""
    (after,) = (0,) if cursor is None else decode_cursor(cursor, tuple[CursorNumber])
    rows = stored.read_set_aside(transaction, application_id, after=after, limit=limit + 1)
    return Page(
        data=[_set_aside_view(row) for row in rows[:limit]],
        next_cursor=encode_cursor(rows[limit - 1].position) if len(rows) > limit else None,
    )


def read_unmeterable(transaction: Transaction, application_id: str, *, limit: int) -> Page[UnmeterableView]:
    """Return the commonest reasons for which events had no quantity."""
    rows = stored.count_unmeterable(transaction, application_id, limit=limit)
    return Page(data=[_unmeterable_view(row) for row in rows], next_cursor=None)


def _event_view(transaction: Transaction, logged: IngestedEvent) -> EventView:
    wire = readable_event(logged)
    aside = stored.set_aside_of_event(transaction, logged.position)
    corrected_by = correction_of(transaction, logged.position)
    made_by = correction_that_made(transaction, logged.position)
    charges = stored.charges_of_event(transaction, logged.position)
    if corrected_by is not None:
        charges += stored.charges_of_event(transaction, corrected_by.position)
    return EventView(
        event_id=event_id_of(logged.position),
        request_id=wire.faregate.request_id if wire and wire.faregate else None,
        position=logged.position,
        occurred_at=as_utc(wire.request.time) if wire else None,
        ingested_at=logged.ingested_at,
        company_id=wire.company_id if wire else None,
        user_id=wire.user_id if wire else None,
        key_id=wire.faregate.key_id if wire and wire.faregate else None,
        route=wire.request.route if wire else None,
        status=wire.response.status if wire and wire.response else None,
        blocked_by=wire.blocked_by if wire else None,
        estimated=wire.faregate.estimated if wire and wire.faregate else False,
        charges=[_charge_view(row) for row in charges],
        unmeterable=[_unmeterable_view(row) for row in stored.unmeterable_of_event(transaction, logged.position)],
        set_aside=None if aside is None else _set_aside_view(aside),
        corrects=None if made_by is None else event_id_of(made_by.event_position),
        corrected_by=None if corrected_by is None else correction_view(corrected_by),
        event=Raw(logged.body if is_json(logged.body) else b"null"),
    )


def _entry_views(
    transaction: Transaction, subscription_id: str, rows: Sequence[EntryReading], *, unit: Currency
) -> list[LedgerEntryView]:
    ids = [row.entry_id for row in rows]
    moved = movements_of_entries(transaction, subscription_id, first=min(ids, default=0), last=max(ids, default=0))
    return [_entry_view(row, unit, moved.get(row.entry_id, [])) for row in rows]


def _entry_view(row: EntryReading, unit: Currency, movements: Sequence[Movement]) -> LedgerEntryView:
    return LedgerEntryView(
        entry_id=row.entry_id,
        kind=row.kind,
        amount=plain(from_ledger_units(row.amount, unit)),
        currency=unit.code,
        price_id=row.price_id,
        period_start=row.period_start,
        quantity=_plain_or_none(row.quantity),
        description=row.description,
        occurred_at=row.occurred_at,
        grants=[
            GrantMovementView(grant_id=movement.grant_id, amount=plain(from_ledger_units(movement.amount, unit)))
            for movement in movements
        ],
    )


def _charge_view(row: ChargeReading) -> ChargeView:
    return ChargeView(
        position=row.position,
        meter_id=row.meter_id,
        price_id=row.price_id,
        company_id=row.company_id,
        subscription_id=row.subscription_id,
        occurred_at=row.occurred_at,
        quantity=plain(row.quantity),
        amount=plain(from_ledger_units(row.amount, currency(row.currency))),
        currency=row.currency,
        corrects=None if row.corrects is None else event_id_of(row.corrects),
    )


def _price_balance(price: Price, total: PriceTotal) -> PriceBalanceView:
    return PriceBalanceView(
        price_id=price.series_id,
        name=price.name,
        period_start=total.key.period_start,
        period_end=total.period_end,
        quantity=plain(total.settled),
        outstanding=total.outstanding,
        debited=plain(from_ledger_units(total.debited, price.currency)),
        units_paid_ahead=plain(units_paid_ahead(price, total.totals)),
    )


def _set_aside_view(row: SetAsideReading) -> SetAsideView:
    return SetAsideView(position=row.position, ingested_at=row.ingested_at, reason=row.reason, detail=row.detail)


def _unmeterable_view(row: UnmeterableCount) -> UnmeterableView:
    return UnmeterableView(meter_id=row.meter_id, reason=row.reason, event_count=row.event_count)


def _plain_or_none(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)
