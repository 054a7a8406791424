"""Usage windows and per-event charges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Row, select, tuple_

from faregate.base.clock import to_microseconds
from faregate.storage.bulk import insert_rows
from faregate.storage.database import Transaction
from faregate.storage.tables import charge, usage_window
from faregate.storage.upsert import upsert


class WindowKey(NamedTuple):
    """A meter's window of one company; `subscription_id` is empty where the company has none for the price."""

    application_id: str
    company_id: str
    meter_id: str
    subscription_id: str
    start_at: datetime


@dataclass(slots=True, kw_only=True)
class Window:
    """What a window holds. `reported_*` is what the billing provider was told."""

    key: WindowKey
    end_at: datetime
    period_start: datetime
    quantity: Decimal
    event_count: int
    reported_quantity: Decimal
    reported_revision: int
    dirty: bool


class Charge(NamedTuple):
    """One event's effect on one meter: its quantity, and its debit in ledger units."""

    position: int
    meter_id: str
    application_id: str
    company_id: str
    subscription_id: str
    price_id: str
    occurred_at: datetime
    quantity: Decimal
    amount: int
    entry_id: int | None


def read_windows(transaction: Transaction, keys: Collection[WindowKey]) -> dict[WindowKey, Window]:
    """Return those of the windows that exist."""
    columns = usage_window.c
    wanted = [(key.application_id, key.company_id, key.meter_id, key.subscription_id, key.start_at) for key in keys]
    identity = tuple_(
        columns.application_id, columns.company_id, columns.meter_id, columns.subscription_id, columns.start_at
    )
    found = {}
    for chunk in _chunks(wanted):
        for row in transaction.execute(select(usage_window).where(identity.in_(chunk))):
            window = _window(row)
            found[window.key] = window
    return found


def write_windows(transaction: Transaction, windows: Collection[Window]) -> None:
    """Insert or replace windows."""
    upsert(
        transaction,
        usage_window,
        [
            {
                "application_id": window.key.application_id,
                "company_id": window.key.company_id,
                "meter_id": window.key.meter_id,
                "subscription_id": window.key.subscription_id,
                "start_at": window.key.start_at,
                "end_at": window.end_at,
                "period_start": window.period_start,
                "quantity": window.quantity,
                "event_count": window.event_count,
                "reported_quantity": window.reported_quantity,
                "reported_revision": window.reported_revision,
                "dirty": window.dirty,
            }
            for window in windows
        ],
    )


def add_charges(transaction: Transaction, charges: Sequence[Charge]) -> None:
    """Write the effects of events."""
    rows = [
        (
            entry.position,
            entry.meter_id,
            entry.application_id,
            entry.company_id,
            entry.subscription_id,
            entry.price_id,
            to_microseconds(entry.occurred_at),
            f"{entry.quantity:f}",
            entry.amount,
            entry.entry_id,
        )
        for entry in charges
    ]
    insert_rows(transaction, charge, _CHARGE_COLUMNS, rows=rows)


_CHARGE_COLUMNS = (
    "position",
    "meter_id",
    "application_id",
    "company_id",
    "subscription_id",
    "price_id",
    "occurred_at",
    "quantity",
    "amount",
    "entry_id",
)
_CHUNK_ROWS = 1_000


def _chunks(keys: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    # SQLite takes 32,766 parameters in one statement.
    for first in range(0, len(keys), _CHUNK_ROWS):
        yield keys[first : first + _CHUNK_ROWS]


def _window(row: Row[tuple[object, ...]]) -> Window:
    return Window(
        key=WindowKey(row.application_id, row.company_id, row.meter_id, row.subscription_id, row.start_at),
        end_at=row.end_at,
        period_start=row.period_start,
        quantity=row.quantity,
        event_count=row.event_count,
        reported_quantity=row.reported_quantity,
        reported_revision=row.reported_revision,
        dirty=row.dirty,
    )
