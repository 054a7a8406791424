"""Plans and their prices."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, delete, insert, select, update

from faregate.domain.catalog.price import Plan
from faregate.domain.catalog.terms_text import write_terms
from faregate.domain.catalog.versions import PriceSeries, PriceVersion
from faregate.storage.catalog_sync import CatalogKind, want
from faregate.storage.database import Transaction
from faregate.storage.metered import price_versions, series_from_rows
from faregate.storage.tables import archived_plan, plan, price, price_replacement


def insert_plan(transaction: Transaction, application_id: str, new: Plan, *, created_at: datetime) -> None:
    """Keep a new plan."""
    transaction.execute(
        insert(plan).values(plan_id=new.plan_id, application_id=application_id, name=new.name, created_at=created_at)
    )
    want(transaction, application_id, CatalogKind.PLAN, our_id=new.plan_id)


def rename_plan(transaction: Transaction, application_id: str, plan_id: str, *, name: str) -> None:
    """Give a plan another name."""
    transaction.execute(update(plan).where(plan.c.plan_id == plan_id).values(name=name))
    want_plan(transaction, application_id, plan_id)


def archive_plan(transaction: Transaction, application_id: str, plan_id: str, *, archived_at: datetime) -> None:
    """Sell a plan no more; it must not be archived."""
    transaction.execute(insert(archived_plan).values(plan_id=plan_id, archived_at=archived_at))
    want_plan(transaction, application_id, plan_id)


def restore_plan(transaction: Transaction, application_id: str, plan_id: str) -> None:
    """Sell an archived plan again."""
    transaction.execute(delete(archived_plan).where(archived_plan.c.plan_id == plan_id))
    want_plan(transaction, application_id, plan_id)


def want_plan(transaction: Transaction, application_id: str, plan_id: str) -> None:
    """Note that the provider is to be told of a plan and all of its prices."""
    want(transaction, application_id, CatalogKind.PLAN, our_id=plan_id)
    first = select(price.c.series_id).where(price.c.plan_id == plan_id, price.c.version == 1)
    for series_id in transaction.execute(first.order_by(price.c.series_id)).scalars().all():
        want(transaction, application_id, CatalogKind.PRICE, our_id=series_id)


def find_plan(transaction: Transaction, application_id: str, plan_id: str) -> Plan | None:
    """Return the plan with the id."""
    return _first_plan(transaction, application_id, plan.c.plan_id == plan_id)


def find_plan_by_name(transaction: Transaction, application_id: str, name: str) -> Plan | None:
    """Return the plan with the name."""
    return _first_plan(transaction, application_id, plan.c.name == name)


def list_plans(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[Plan]:
    """Return plans in id order, from the first one after `after`."""
    statement = (
        _plans()
        .where(plan.c.application_id == application_id, plan.c.plan_id > after)
        .order_by(plan.c.plan_id)
        .limit(limit)
    )
    return [_plan(row) for row in transaction.execute(statement)]


def insert_version(
    transaction: Transaction, application_id: str, version: PriceVersion, *, of: PriceSeries, created_at: datetime
) -> None:
    """Keep a version of a price, and what it replaces."""
    transaction.execute(
        insert(price).values(
            price_id=version.price_id,
            series_id=of.series_id,
            version=version.number,
            application_id=application_id,
            plan_id=of.plan_id,
            name=of.name,
            terms=write_terms(version.terms),
            effective_at=version.effective_at,
            applies_to=version.applies_to.value,
            period=of.period.value,
            currency=next(iter(version.terms)).code,
            tax_behavior=of.tax_behavior.value,
            created_at=created_at,
        )
    )

    if version.replaces is not None:
        transaction.execute(
            insert(price_replacement).values(
                price_id=version.price_id,
                replaces=version.replaces.price_id,
                from_at=version.replaces.span.start,
                to_at=version.replaces.span.end,
                rerating_id=version.replaces.rerating_id,
            )
        )
    want(transaction, application_id, CatalogKind.PRICE, our_id=of.series_id)


def list_series(
    transaction: Transaction, application_id: str, *, plan_id: str | None, after: str, limit: int
) -> list[PriceSeries]:
    """Return prices, of one plan or of all, in id order, from the first one after `after`."""
    first = select(price.c.series_id).where(
        price.c.application_id == application_id, price.c.version == 1, price.c.series_id > after
    )
    if plan_id is not None:
        first = first.where(price.c.plan_id == plan_id)
    wanted = transaction.execute(first.order_by(price.c.series_id).limit(limit)).scalars().all()
    statement = price_versions().where(price.c.series_id.in_(wanted)).order_by(price.c.series_id, price.c.version)
    return series_from_rows(transaction.execute(statement))


def _first_plan(transaction: Transaction, application_id: str, condition: ColumnElement[bool]) -> Plan | None:
    row = transaction.execute(_plans().where(plan.c.application_id == application_id, condition)).first()
    return None if row is None else _plan(row)


def _plans() -> Select[tuple[object, ...]]:
    return select(plan, archived_plan.c.archived_at).outerjoin(archived_plan, archived_plan.c.plan_id == plan.c.plan_id)


def _plan(row: Row[tuple[object, ...]]) -> Plan:
    return Plan(plan_id=row.plan_id, name=row.name, is_archived=row.archived_at is not None)
