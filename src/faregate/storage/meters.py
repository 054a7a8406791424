"""Billing meters, for those who make and change them; metering itself reads `metered.py`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, insert, select, update

from faregate.base.periods import Span
from faregate.domain.metering.definition import read_definition, write_definition
from faregate.domain.metering.history import MeterChange, MeterHistory
from faregate.domain.metering.meter import Meter
from faregate.storage.database import Transaction
from faregate.storage.metered import meter_from_row
from faregate.storage.tables import meter, meter_change, subscription, unmeterable, usage_window


def insert_meter(transaction: Transaction, application_id: str, new: Meter, *, created_at: datetime) -> None:
    """Keep a new meter."""
    transaction.execute(
        insert(meter).values(
            meter_id=new.meter_id,
            application_id=application_id,
            price_id=new.price_id,
            created_at=created_at,
            **_changeable(new),
        )
    )


def update_meter(transaction: Transaction, changed: Meter) -> None:
    """Replace all of a meter but the price that it feeds."""
    transaction.execute(update(meter).where(meter.c.meter_id == changed.meter_id).values(**_changeable(changed)))


def add_meter_change(
    transaction: Transaction, before: Meter, after: Meter, *, position: int, span: Span | None
) -> None:
    """Remember what a meter counted up to a position of the log, and that a re-rating corrected it in a span."""
    transaction.execute(
        insert(meter_change).values(
            meter_id=before.meter_id,
            position=position,
            before=write_definition(before.definition),
            after=write_definition(after.definition),
            from_at=None if span is None else span.start,
            to_at=None if span is None else span.end,
        )
    )


def history_of_meter(transaction: Transaction, of: Meter) -> MeterHistory:
    """Return a meter with everything that it has counted before."""
    statement = select(meter_change).where(meter_change.c.meter_id == of.meter_id).order_by(meter_change.c.change_id)
    rows = transaction.execute(statement).all()
    if not rows:
        return MeterHistory(made=of)
    return MeterHistory(
        made=_defined(of, rows[0].before),
        changes=tuple(
            MeterChange(
                meter=_defined(of, row.after),
                position=row.position,
                span=None if row.from_at is None else Span(row.from_at, row.to_at),
            )
            for row in rows
        ),
    )


def _defined(of: Meter, text: str) -> Meter:
    definition = read_definition(text)
    return replace(
        of,
        filter=definition.filter,
        metric=definition.metric,
        group_by=definition.group_by,
        units=definition.units,
    )


def delete_meter(transaction: Transaction, meter_id: str) -> None:
    """Forget a meter."""
    transaction.execute(delete(meter).where(meter.c.meter_id == meter_id))


def find_meter(transaction: Transaction, application_id: str, meter_id: str) -> Meter | None:
    """Return the meter with the id."""
    return next(iter(_meters(transaction, application_id, meter.c.meter_id == meter_id)), None)


def find_meter_by_name(transaction: Transaction, application_id: str, name: str) -> Meter | None:
    """Return the meter with the name."""
    return next(iter(_meters(transaction, application_id, meter.c.name == name)), None)


def list_meters(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[Meter]:
    """Return meters in id order, from the first one after `after`."""
    return _meters(transaction, application_id, meter.c.meter_id > after, limit=limit)


def meters_of_application(transaction: Transaction, application_id: str) -> list[Meter]:
    """Return all meters, in id order."""
    return _meters(transaction, application_id)


def meters_of_price(transaction: Transaction, application_id: str, price_id: str) -> list[Meter]:
    """Return the meters that feed a price, in id order."""
    return _meters(transaction, application_id, meter.c.price_id == price_id)


def meter_has_counted(transaction: Transaction, meter_id: str) -> bool:
    """Return whether any event has matched the meter."""
    found = transaction.execute(
        select(
            exists(select(1).where(usage_window.c.meter_id == meter_id))
            | exists(select(1).where(unmeterable.c.meter_id == meter_id))
        )
    ).scalar()
    return bool(found)


def meter_counts_in_open_period(transaction: Transaction, meter_id: str) -> bool:
    """Return whether the meter has counted usage of a subscription's period that is not billed yet."""
    window = usage_window.c
    # By each subscription's own windows: their key begins with application, company, meter and subscription.
    counted = exists(
        select(1).where(
            window.application_id == subscription.c.application_id,
            window.company_id == subscription.c.company_id,
            window.meter_id == meter_id,
            window.subscription_id == subscription.c.subscription_id,
            window.period_start >= subscription.c.billed_until,
        )
    )
    of_application = select(meter.c.application_id).where(meter.c.meter_id == meter_id).scalar_subquery()
    return bool(
        transaction.execute(
            select(exists(select(1).where(subscription.c.application_id == of_application, counted)))
        ).scalar()
    )


def _changeable(of: Meter) -> dict[str, Any]:
    return {
        "name": of.name,
        "definition": write_definition(of.definition),
        "reporting_period": of.reporting_period.value,
    }


def _meters(
    transaction: Transaction, application_id: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[Meter]:
    statement = (
        select(meter)
        .where(meter.c.application_id == application_id, *conditions)
        .order_by(meter.c.meter_id)
        .limit(limit)
    )
    return [meter_from_row(row) for row in transaction.execute(statement)]
