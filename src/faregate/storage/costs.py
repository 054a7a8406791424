"""Provider cost prices."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Row, insert, select, update

from faregate.base.money import currency
from faregate.domain.costing.cost import CostPrice, read_cost, write_cost
from faregate.storage.database import Transaction
from faregate.storage.tables import cost_price


class CostStamp(NamedTuple):
    """A version, and its end, which is all of it that can change."""

    cost_id: str
    ends_at: datetime | None


def insert_cost(transaction: Transaction, application_id: str, new: CostPrice, *, created_at: datetime) -> None:
    """Keep a new version of a cost price."""
    transaction.execute(
        insert(cost_price).values(
            cost_id=new.cost_id,
            application_id=application_id,
            name=new.name,
            currency=new.currency.code,
            terms=write_cost(new),
            effective_at=new.effective_at,
            ends_at=new.ends_at,
            created_at=created_at,
        )
    )


def end_cost(transaction: Transaction, cost_id: str, ends_at: datetime) -> None:
    """Let a version hold no longer than to an instant."""
    transaction.execute(update(cost_price).where(cost_price.c.cost_id == cost_id).values(ends_at=ends_at))


def find_cost(transaction: Transaction, application_id: str, cost_id: str) -> CostPrice | None:
    """Return the version with the id."""
    return next(iter(_costs(transaction, application_id, cost_price.c.cost_id == cost_id)), None)


def costs_by_name(transaction: Transaction, application_id: str, name: str) -> list[CostPrice]:
    """Return all versions of a name, in the order in which they were made."""
    return _costs(transaction, application_id, cost_price.c.name == name)


def list_costs(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[CostPrice]:
    """Return versions in id order, from the first one after `after`."""
    return _costs(transaction, application_id, cost_price.c.cost_id > after, limit=limit)


def costs_of_application(transaction: Transaction, application_id: str) -> list[CostPrice]:
    """Return all versions, in the order in which they were made."""
    return _costs(transaction, application_id)


def cost_stamps(transaction: Transaction, application_id: str) -> list[CostStamp]:
    """Return what changes whenever any version does."""
    statement = (
        select(cost_price.c.cost_id, cost_price.c.ends_at)
        .where(cost_price.c.application_id == application_id)
        .order_by(cost_price.c.cost_id)
    )
    return [CostStamp(cost_id, ends_at) for cost_id, ends_at in transaction.execute(statement)]


def _costs(
    transaction: Transaction, application_id: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[CostPrice]:
    statement = (
        select(cost_price)
        .where(cost_price.c.application_id == application_id, *conditions)
        .order_by(cost_price.c.cost_id)
        .limit(limit)
    )
    return [_cost(row) for row in transaction.execute(statement)]


def _cost(row: Row[tuple[object, ...]]) -> CostPrice:
    criteria, rates = read_cost(row.terms)
    return CostPrice(
        cost_id=row.cost_id,
        name=row.name,
        currency=currency(row.currency),
        filter=criteria,
        rates=rates,
        effective_at=row.effective_at,
        ends_at=row.ends_at,
    )
