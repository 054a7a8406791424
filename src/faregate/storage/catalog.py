"""Plans and their prices."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, insert, select

from faregate.domain.catalog.price import Plan, Price
from faregate.storage.database import Transaction
from faregate.storage.metered import price_from_row
from faregate.storage.tables import plan, price


def insert_plan(transaction: Transaction, application_id: str, new: Plan, *, created_at: datetime) -> None:
    """Keep a new plan."""
    transaction.execute(
        insert(plan).values(plan_id=new.plan_id, application_id=application_id, name=new.name, created_at=created_at)
    )


def find_plan(transaction: Transaction, application_id: str, plan_id: str) -> Plan | None:
    """Return the plan with the id."""
    return _first_plan(transaction, application_id, plan.c.plan_id == plan_id)


def find_plan_by_name(transaction: Transaction, application_id: str, name: str) -> Plan | None:
    """Return the plan with the name."""
    return _first_plan(transaction, application_id, plan.c.name == name)


def list_plans(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[Plan]:
    """Return plans in id order, from the first one after `after`."""
    statement = (
        select(plan)
        .where(plan.c.application_id == application_id, plan.c.plan_id > after)
        .order_by(plan.c.plan_id)
        .limit(limit)
    )
    return [Plan(plan_id=row.plan_id, name=row.name) for row in transaction.execute(statement)]


def insert_price(transaction: Transaction, application_id: str, new: Price, *, created_at: datetime) -> None:
    """Keep a new price."""
    transaction.execute(
        insert(price).values(
            price_id=new.price_id,
            application_id=application_id,
            plan_id=new.plan_id,
            name=new.name,
            package_amount=new.model.amount,
            package_size=new.model.size,
            period=new.period.value,
            currency=new.currency.code,
            tax_behavior=new.tax_behavior.value,
            created_at=created_at,
        )
    )


def find_price(transaction: Transaction, application_id: str, price_id: str) -> Price | None:
    """Return the price with the id."""
    return next(
        iter(_prices(transaction, price.c.application_id == application_id, price.c.price_id == price_id)), None
    )


def prices_of_plan(transaction: Transaction, plan_id: str) -> list[Price]:
    """Return all prices of a plan, in id order."""
    return _prices(transaction, price.c.plan_id == plan_id)


def list_prices(
    transaction: Transaction, application_id: str, *, plan_id: str | None, after: str, limit: int
) -> list[Price]:
    """Return prices, of one plan or of all, in id order, from the first one after `after`."""
    conditions = [price.c.application_id == application_id, price.c.price_id > after]
    if plan_id is not None:
        conditions.append(price.c.plan_id == plan_id)
    return _prices(transaction, *conditions, limit=limit)


def _first_plan(transaction: Transaction, application_id: str, condition: ColumnElement[bool]) -> Plan | None:
    row = transaction.execute(select(plan).where(plan.c.application_id == application_id, condition)).first()
    return None if row is None else Plan(plan_id=row.plan_id, name=row.name)


def _prices(transaction: Transaction, *conditions: ColumnElement[bool], limit: int | None = None) -> list[Price]:
    statement = select(price).where(*conditions).order_by(price.c.price_id).limit(limit)
    return [price_from_row(row) for row in transaction.execute(statement)]
