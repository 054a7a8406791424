"""Usage windows and per-event charges."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Row, select, tuple_

from faregate.base.clock import to_microseconds
from faregate.domain.metering.aggregate import Aggregate, decode_aggregate, encode_aggregate
from faregate.storage.bulk import DriverRow, insert_rows
from faregate.storage.database import Transaction
from faregate.storage.tables import charge, usage_window
from faregate.storage.upsert import chunks, upsert


class WindowKey(NamedTuple):
    """A meter's window of one company and group.

    `subscription_id` is empty where the company has none for the price; `group_key` where usage is not grouped.
    """

    application_id: str
    company_id: str
    meter_id: str
    subscription_id: str
    start_at: datetime
    group_key: str = ""


@dataclass(slots=True, kw_only=True)
class Window:
    """What a window holds: `quantity` in units; `state` of a meter that is not additive.

    `billed_quantity` is what its events added to the period's total; `reported_*` what the billing provider was told.
    """

    key: WindowKey
    end_at: datetime
    period_start: datetime
    quantity: Decimal
    state: Aggregate | None
    billed_quantity: Decimal
    event_count: int
    reported_quantity: Decimal
    reported_revision: int
    dirty: bool


class Charge(NamedTuple):
    """One event's effect on one meter: its quantity, and its debit in ledger units."""

    position: int
    meter_id: str
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
    wanted = [tuple(key) for key in keys]
    identity = tuple_(
        columns.application_id,
        columns.company_id,
        columns.meter_id,
        columns.subscription_id,
        columns.start_at,
        columns.group_key,
    )
    found = {}
    for chunk in chunks(wanted):
        for row in transaction.execute(select(usage_window).where(identity.in_(chunk))):
            window = window_from_row(row)
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
                "group_key": window.key.group_key,
                "end_at": window.end_at,
                "period_start": window.period_start,
                "quantity": window.quantity,
                "state": None if window.state is None else encode_aggregate(window.state),
                "billed_quantity": window.billed_quantity,
                "event_count": window.event_count,
                "reported_quantity": window.reported_quantity,
                "reported_revision": window.reported_revision,
                "dirty": window.dirty,
            }
            for window in windows
        ],
    )


def add_charges(transaction: Transaction, application_id: str, charges: Sequence[Charge]) -> None:
    """Write the effects of events."""
    rows: list[DriverRow] = []
    known: datetime | None = None
    instant = 0
    for position, meter_id, company_id, subscription_id, price_id, occurred_at, quantity, amount, entry_id in charges:
        if occurred_at is not known:
            # An event's charges follow each other.
            known, instant = occurred_at, to_microseconds(occurred_at)
        numeral = str(quantity)
        if "E" in numeral:
            numeral = f"{quantity:f}"
        rows.append(
            (
                position,
                meter_id,
                application_id,
                company_id,
                subscription_id,
                price_id,
                instant,
                numeral,
                amount,
                entry_id,
            )
        )
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


def window_from_row(row: Row[tuple[object, ...]]) -> Window:
    """Return a row of `usage_window`."""
    return Window(
        key=WindowKey(
            row.application_id, row.company_id, row.meter_id, row.subscription_id, row.start_at, row.group_key
        ),
        end_at=row.end_at,
        period_start=row.period_start,
        quantity=row.quantity,
        state=None if row.state is None else decode_aggregate(row.state),
        billed_quantity=row.billed_quantity,
        event_count=row.event_count,
        reported_quantity=row.reported_quantity,
        reported_revision=row.reported_revision,
        dirty=row.dirty,
    )
