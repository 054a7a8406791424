"""Incident credits: what they are about, and what they give back of each price and period."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import (
    ColumnElement,
    Row,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from faregate.domain.metering.filter import Filter
from faregate.domain.metering.filter_text import filter_text, parse_filter
from faregate.storage.database import Transaction
from faregate.storage.kept_events import KeptRange
from faregate.storage.ledger import TotalKey
from faregate.storage.tables import (
    incident,
    incident_line,
    subscription,
)
from faregate.storage.upsert import chunks, upsert


class IncidentStatus(StrEnum):
    """`drafting`: calls are still being found. `draft`: a preview, nothing moved."""

    DRAFTING = "drafting"
    DRAFT = "draft"
    APPLIED = "applied"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Calls of `kept` that match are found up to the key (instant, position) `after`: `matched` of them so far."""

    incident_id: str
    filter: Filter
    kept: KeptRange
    percent: Decimal
    reason: str
    status: IncidentStatus
    after: tuple[int, int]
    matched: int
    created_at: datetime
    applied_at: datetime | None = None
    undone_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class IncidentLine:
    """Calls of one price and period: `charged` for them, and the `credit`, in ledger units.

    `already_credited` charges, by other incidents, are in none of the other figures.
    """

    key: TotalKey
    company_id: str
    currency: str = ""
    calls: int = 0
    quantity: Decimal = Decimal(0)
    charged: int = 0
    already_credited: int = 0
    credit: int = 0
    entry_id: int | None = None
    undo_entry_id: int | None = None


def insert_incident(transaction: Transaction, new: Incident) -> None:
    """Keep a new incident."""
    transaction.execute(
        insert(incident).values(
            application_id=new.kept.application_id,
            incident_id=new.incident_id,
            filter=filter_text(new.filter),
            from_at=new.kept.from_at,
            to_at=new.kept.to_at,
            percent=new.percent,
            reason=new.reason,
            through=new.kept.through,
            created_at=new.created_at,
            **_changing(new),
        )
    )


def update_incident(transaction: Transaction, changed: Incident) -> None:
    """Keep how far an incident has come."""
    transaction.execute(
        update(incident)
        .where(incident.c.application_id == changed.kept.application_id, incident.c.incident_id == changed.incident_id)
        .values(**_changing(changed))
    )


def find_incident(transaction: Transaction, application_id: str, incident_id: str) -> Incident | None:
    """Return the incident with the id."""
    found = _incidents(transaction, incident.c.application_id == application_id, incident.c.incident_id == incident_id)
    return next(iter(found), None)


def list_incidents(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[Incident]:
    """Return incidents by id, from the first one after `after`."""
    return _incidents(
        transaction, incident.c.application_id == application_id, incident.c.incident_id > after, limit=limit
    )


def read_lines(transaction: Transaction, found: Incident) -> list[IncidentLine]:
    """Return all that an incident gives back, by subscription, price and period."""
    return _lines(transaction, found)


def read_lines_after(
    transaction: Transaction, found: Incident, after: tuple[str, str, datetime] | None, *, limit: int
) -> list[IncidentLine]:
    """Return the next lines in their order, from the first one after a subscription, price and period."""
    if after is None:
        return _lines(transaction, found, limit=limit)
    start = literal(after[2], incident_line.c.period_start.type)
    return _lines(transaction, found, tuple_(*_LINE) > tuple_(literal(after[0]), literal(after[1]), start), limit=limit)


def read_lines_of(transaction: Transaction, found: Incident, keys: Collection[TotalKey]) -> list[IncidentLine]:
    """Return those of the lines that exist."""
    wanted = sorted(tuple(key) for key in keys)
    return [line for chunk in chunks(wanted) for line in _lines(transaction, found, tuple_(*_LINE).in_(chunk))]


def write_lines(transaction: Transaction, found: Incident, lines: Collection[IncidentLine]) -> None:
    """Insert or replace lines."""
    upsert(
        transaction,
        incident_line,
        [
            {
                "application_id": found.kept.application_id,
                "incident_id": found.incident_id,
                "subscription_id": line.key.subscription_id,
                "price_id": line.key.price_id,
                "period_start": line.key.period_start,
                "company_id": line.company_id,
                "calls": line.calls,
                "quantity": line.quantity,
                "charged": line.charged,
                "already_credited": line.already_credited,
                "credit": line.credit,
                "entry_id": line.entry_id,
                "undo_entry_id": line.undo_entry_id,
            }
            for line in lines
        ],
    )


def credited_so_far(transaction: Transaction, keys: Collection[TotalKey]) -> Mapping[TotalKey, int]:
    """Return what applied incidents have given back of prices and periods, in ledger units."""
    columns = incident_line.c
    statement = (
        select(columns.subscription_id, columns.price_id, columns.period_start, func.sum(columns.credit))
        .join(
            incident,
            (incident.c.application_id == columns.application_id) & (incident.c.incident_id == columns.incident_id),
        )
        .where(
            columns.subscription_id.in_({key.subscription_id for key in keys}),
            incident.c.status == IncidentStatus.APPLIED.value,
        )
        .group_by(columns.subscription_id, columns.price_id, columns.period_start)
    )
    return {TotalKey(row[0], row[1], row[2]): int(row[3]) for row in transaction.execute(statement)}


def _changing(of: Incident) -> dict[str, object]:
    return {
        "status": of.status.value,
        "after_us": of.after[0],
        "after_position": of.after[1],
        "matched": of.matched,
        "applied_at": of.applied_at,
        "undone_at": of.undone_at,
    }


def _incidents(transaction: Transaction, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Incident]:
    statement = select(incident).where(*conditions).order_by(incident.c.incident_id).limit(limit)
    return [_incident(row) for row in transaction.execute(statement)]


def _incident(row: Row[tuple[object, ...]]) -> Incident:
    return Incident(
        incident_id=row.incident_id,
        filter=parse_filter("filter", row.filter),
        kept=KeptRange(application_id=row.application_id, from_at=row.from_at, to_at=row.to_at, through=row.through),
        percent=row.percent,
        reason=row.reason,
        status=IncidentStatus(row.status),
        after=(row.after_us, row.after_position),
        matched=row.matched,
        created_at=row.created_at,
        applied_at=row.applied_at,
        undone_at=row.undone_at,
    )


_LINE = (incident_line.c.subscription_id, incident_line.c.price_id, incident_line.c.period_start)


def _lines(
    transaction: Transaction, found: Incident, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[IncidentLine]:
    columns = incident_line.c
    statement = (
        select(incident_line, subscription.c.currency)
        .join(subscription, subscription.c.subscription_id == columns.subscription_id)
        .where(
            columns.application_id == found.kept.application_id, columns.incident_id == found.incident_id, *conditions
        )
        .order_by(*_LINE)
        .limit(limit)
    )
    return [_line(row) for row in transaction.execute(statement)]


def _line(row: Row[tuple[object, ...]]) -> IncidentLine:
    return IncidentLine(
        key=TotalKey(row.subscription_id, row.price_id, row.period_start),
        company_id=row.company_id,
        currency=row.currency,
        calls=row.calls,
        quantity=row.quantity,
        charged=row.charged,
        already_credited=row.already_credited,
        credit=row.credit,
        entry_id=row.entry_id,
        undo_entry_id=row.undo_entry_id,
    )
