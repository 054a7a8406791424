"""Backfills: a meter, the kept events it is filled from, and how far that has come."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, insert, select, update

from faregate.storage.database import Transaction
from faregate.storage.kept_events import KeptRange
from faregate.storage.tables import backfill, charge, unmeterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Events of `kept` up to `position` are counted: `read` of `total`, of which the meter `counted` some."""

    backfill_id: str
    meter_id: str
    kept: KeptRange
    position: int
    total: int
    read: int
    counted: int
    created_at: datetime
    ended_at: datetime | None


def insert_backfill(transaction: Transaction, new: Backfill) -> None:
    """Keep a new backfill."""
    transaction.execute(
        insert(backfill).values(
            backfill_id=new.backfill_id,
            application_id=new.kept.application_id,
            meter_id=new.meter_id,
            from_at=new.kept.from_at,
            to_at=new.kept.to_at,
            through=new.kept.through,
            position=new.position,
            total=new.total,
            read=new.read,
            counted=new.counted,
            created_at=new.created_at,
            ended_at=new.ended_at,
        )
    )


def move_backfill(transaction: Transaction, moved: Backfill) -> None:
    """Keep how far a backfill has come."""
    transaction.execute(
        update(backfill)
        .where(backfill.c.backfill_id == moved.backfill_id)
        .values(position=moved.position, read=moved.read, counted=moved.counted, ended_at=moved.ended_at)
    )


def find_backfill(transaction: Transaction, application_id: str, backfill_id: str) -> Backfill | None:
    """Return the backfill with the id."""
    found = _backfills(transaction, backfill.c.application_id == application_id, backfill.c.backfill_id == backfill_id)
    return next(iter(found), None)


def backfills_of_meter(transaction: Transaction, meter_id: str) -> list[Backfill]:
    """Return a meter's backfills, oldest first."""
    return _backfills(transaction, backfill.c.meter_id == meter_id)


def first_unfinished(transaction: Transaction) -> Backfill | None:
    """Return the oldest backfill that has not ended, locked where the database has row locks."""
    statement = (
        select(backfill)
        .where(backfill.c.ended_at.is_(None))
        .order_by(backfill.c.backfill_id)
        .limit(1)
        .with_for_update()
    )
    return next((_backfill(row) for row in transaction.execute(statement)), None)


def already_counted(transaction: Transaction, meter_id: str, positions: Collection[int]) -> set[int]:
    """Return those of the events that the meter has counted, or found no quantity in."""
    found: set[int] = set()
    for table in (charge, unmeterable):
        statement = select(table.c.position).where(table.c.meter_id == meter_id, table.c.position.in_(positions))
        found.update(transaction.execute(statement).scalars())
    return found


def _backfills(transaction: Transaction, *conditions: ColumnElement[bool]) -> list[Backfill]:
    statement = select(backfill).where(*conditions).order_by(backfill.c.backfill_id)
    return [_backfill(row) for row in transaction.execute(statement)]


def _backfill(row: Row[tuple[object, ...]]) -> Backfill:
    return Backfill(
        backfill_id=row.backfill_id,
        meter_id=row.meter_id,
        kept=KeptRange(application_id=row.application_id, from_at=row.from_at, to_at=row.to_at, through=row.through),
        position=row.position,
        total=row.total,
        read=row.read,
        counted=row.counted,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
