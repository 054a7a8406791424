"""What usage comes to beside its windows: by day, and the states of a period's totals."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import delete, select, tuple_

from faregate.domain.metering.aggregate import Aggregate, decode_aggregate, encode_aggregate
from faregate.storage.database import Transaction
from faregate.storage.tables import meter_total, usage_day
from faregate.storage.upsert import chunks, upsert


class DayKey(NamedTuple):
    """A meter's usage of one company and group in the windows that begin on a day in UTC."""

    application_id: str
    company_id: str
    meter_id: str
    start_at: datetime
    group_key: str


@dataclass(slots=True, kw_only=True)
class Day:
    """What a day's windows hold together; `end_at` is the end of the last of them, or of the day."""

    key: DayKey
    end_at: datetime
    quantity: Decimal
    state: Aggregate | None
    event_count: int


class MeterTotalKey(NamedTuple):
    """A meter's part of an account's total in the period that begins at `period_start`, for one group."""

    subscription_id: str
    meter_id: str
    period_start: datetime
    group_key: str


def read_days(transaction: Transaction, keys: Collection[DayKey]) -> dict[DayKey, Day]:
    """Return those of the days that exist."""
    columns = usage_day.c
    identity = tuple_(columns.application_id, columns.company_id, columns.meter_id, columns.start_at, columns.group_key)
    found = {}
    for chunk in chunks([tuple(key) for key in keys]):
        for row in transaction.execute(select(usage_day).where(identity.in_(chunk))):
            key = DayKey(row.application_id, row.company_id, row.meter_id, row.start_at, row.group_key)
            found[key] = Day(
                key=key,
                end_at=row.end_at,
                quantity=row.quantity,
                state=None if row.state is None else decode_aggregate(row.state),
                event_count=row.event_count,
            )
    return found


def write_days(transaction: Transaction, days: Collection[Day]) -> None:
    """Insert or replace days."""
    upsert(
        transaction,
        usage_day,
        [
            day.key._asdict()
            | {
                "end_at": day.end_at,
                "quantity": day.quantity,
                "state": None if day.state is None else encode_aggregate(day.state),
                "event_count": day.event_count,
            }
            for day in days
        ],
    )


def read_meter_totals(transaction: Transaction, keys: Collection[MeterTotalKey]) -> dict[MeterTotalKey, Aggregate]:
    """Return those of the states that exist. The account's lock covers them."""
    columns = meter_total.c
    identity = tuple_(columns.subscription_id, columns.meter_id, columns.period_start, columns.group_key)
    found = {}
    for chunk in chunks([tuple(key) for key in keys]):
        for row in transaction.execute(select(meter_total).where(identity.in_(chunk))):
            key = MeterTotalKey(row.subscription_id, row.meter_id, row.period_start, row.group_key)
            found[key] = decode_aggregate(row.state)
    return found


def write_meter_totals(transaction: Transaction, states: dict[MeterTotalKey, Aggregate]) -> None:
    """Insert or replace states."""
    upsert(
        transaction,
        meter_total,
        [key._asdict() | {"state": encode_aggregate(state)} for key, state in states.items()],
    )


def delete_meter_totals(transaction: Transaction, keys: Collection[MeterTotalKey]) -> None:
    """Forget states that no event adds up to any more."""
    columns = meter_total.c
    identity = tuple_(columns.subscription_id, columns.meter_id, columns.period_start, columns.group_key)
    for chunk in chunks([tuple(key) for key in keys]):
        transaction.execute(delete(meter_total).where(identity.in_(chunk)))
