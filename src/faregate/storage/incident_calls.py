"""Which charges an incident credit covers: a charge is credited by one incident at most."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import ColumnElement, exists, func, insert, literal, literal_column, or_, select, tuple_, update

from faregate.storage.database import Transaction
from faregate.storage.incidents import Incident
from faregate.storage.tables import admitted_event, charge, correction, incident_call


class CallCharge(NamedTuple):
    """What an event was charged on a meter; `is_credited` by another incident."""

    position: int
    meter_id: str
    company_id: str
    subscription_id: str
    price_id: str
    occurred_at: datetime
    quantity: Decimal
    amount: int
    is_credited: bool


def charges_of(transaction: Transaction, application_id: str, positions: Collection[int]) -> list[CallCharge]:
    """Return what events were charged to subscriptions, above zero, by position and meter."""
    columns = charge.c
    credited = exists(
        select(incident_call.c.position).where(
            incident_call.c.position == columns.position,
            incident_call.c.meter_id == columns.meter_id,
            _is_credited(),
        )
    )
    statement = (
        select(
            columns.position,
            columns.meter_id,
            columns.company_id,
            columns.subscription_id,
            columns.price_id,
            columns.occurred_at,
            columns.quantity,
            columns.amount,
            credited,
        )
        .where(
            columns.application_id == application_id,
            columns.position.in_(positions),
            columns.subscription_id != "",
            columns.amount > 0,
        )
        .order_by(columns.position, columns.meter_id)
    )
    return [CallCharge._make(row) for row in transaction.execute(statement)]


def add_calls(transaction: Transaction, found: Incident, charges: Sequence[CallCharge]) -> None:
    """Keep which charges an incident covers; they are credited once it is applied."""
    rows = [
        {
            "application_id": found.kept.application_id,
            "incident_id": found.incident_id,
            "position": entry.position,
            "meter_id": entry.meter_id,
            "credited": False,
        }
        for entry in charges
    ]
    if rows:
        transaction.execute(insert(incident_call), rows)


def count_credited_elsewhere(transaction: Transaction, found: Incident) -> int:
    """Return how many of the incident's charges another one has credited."""
    other = incident_call.alias("other_call")
    statement = (
        select(func.count())
        .select_from(incident_call)
        .join(other, (other.c.position == incident_call.c.position) & (other.c.meter_id == incident_call.c.meter_id))
        .where(*_calls(found), _is_credited("other_call"), other.c.incident_id != found.incident_id)
    )
    counted: int = transaction.execute(statement).scalar_one()
    return counted


def charged_now(transaction: Transaction, found: Incident) -> int:
    """Return what the incident's charges come to, in ledger units, as they stand."""
    statement = (
        select(func.coalesce(func.sum(charge.c.amount), 0))
        .select_from(incident_call)
        .join(charge, (charge.c.position == incident_call.c.position) & (charge.c.meter_id == incident_call.c.meter_id))
        .where(*_calls(found))
    )
    return int(transaction.execute(statement).scalar_one())


def count_gone(transaction: Transaction, found: Incident) -> int:
    """Return how many of the incident's charges are of events that count no longer, or will not once it is applied."""
    statement = (
        select(func.count())
        .select_from(incident_call)
        .join(admitted_event, admitted_event.c.position == incident_call.c.position, isouter=True)
        .join(correction, correction.c.event_position == incident_call.c.position, isouter=True)
        .where(*_calls(found), or_(admitted_event.c.position.is_(None), correction.c.event_position.is_not(None)))
    )
    counted: int = transaction.execute(statement).scalar_one()
    return counted


def incident_that_credited(transaction: Transaction, position: int) -> str | None:
    """Return the id of an incident that has credited charges of an event."""
    columns = incident_call.c
    statement = select(columns.incident_id).where(columns.position == position, _is_credited()).limit(1)
    found: str | None = transaction.execute(statement).scalar()
    return found


def mark_credited(transaction: Transaction, found: Incident, *, credited: bool) -> None:
    """Say whether the incident's charges are credited by it."""
    transaction.execute(update(incident_call).where(*_calls(found)).values(credited=credited))


def read_calls(transaction: Transaction, found: Incident, *, after: tuple[int, str], limit: int) -> list[CallCharge]:
    """Return the charges that an incident covers, by position and meter, from the first one after a pair of them."""
    columns, calls = charge.c, incident_call.c
    statement = (
        select(
            columns.position,
            columns.meter_id,
            columns.company_id,
            columns.subscription_id,
            columns.price_id,
            columns.occurred_at,
            columns.quantity,
            columns.amount,
            calls.credited,
        )
        .select_from(incident_call)
        .join(charge, (columns.position == calls.position) & (columns.meter_id == calls.meter_id))
        .where(*_calls(found), tuple_(calls.position, calls.meter_id) > tuple_(*map(literal, after)))
        .order_by(calls.position, calls.meter_id)
        .limit(limit)
    )
    return [CallCharge._make(row) for row in transaction.execute(statement)]


def _is_credited(table_name: str = "incident_call") -> ColumnElement[bool]:
    """Return the condition of the index, as it is written there: with a comparison SQLite would not use it."""
    return literal_column(f"{table_name}.credited")


def _calls(found: Incident) -> tuple[ColumnElement[bool], ...]:
    return (
        incident_call.c.application_id == found.kept.application_id,
        incident_call.c.incident_id == found.incident_id,
    )
