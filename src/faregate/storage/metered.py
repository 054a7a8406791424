"""What metering needs to know of the catalog and the customers, read in a few statements for a whole batch."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Row, select

from faregate.base.money import currency
from faregate.domain.catalog.price import BillingPeriod, Package, Price, TaxBehavior
from faregate.domain.customers.subscription import Pays, Subscription
from faregate.domain.metering.definition import read_definition
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.windows import ReportingPeriod
from faregate.storage.database import Transaction
from faregate.storage.tables import meter, price, subscription, user


def read_all_meters(transaction: Transaction) -> dict[str, list[Meter]]:
    """Return every meter, by application, in id order."""
    meters: dict[str, list[Meter]] = {}
    for row in transaction.execute(select(meter).order_by(meter.c.meter_id)):
        meters.setdefault(row.application_id, []).append(meter_from_row(row))
    return meters


def read_all_prices(transaction: Transaction) -> dict[str, Price]:
    """Return every price by id."""
    return {row.price_id: price_from_row(row) for row in transaction.execute(select(price))}


def metered_prices_of_plans(transaction: Transaction, plan_ids: Collection[str]) -> dict[str, list[Price]]:
    """Return, by plan and in id order, the prices that a meter feeds."""
    statement = (
        select(price)
        .where(price.c.plan_id.in_(plan_ids), price.c.price_id.in_(select(meter.c.price_id)))
        .order_by(price.c.price_id)
    )
    prices: dict[str, list[Price]] = {}
    for row in transaction.execute(statement):
        prices.setdefault(row.plan_id, []).append(price_from_row(row))
    return prices


def companies_of_users(transaction: Transaction, application_id: str, user_ids: Collection[str]) -> dict[str, str]:
    """Return the company of each known user."""
    if not user_ids:
        return {}
    statement = select(user.c.user_id, user.c.company_id).where(
        user.c.application_id == application_id, user.c.user_id.in_(user_ids)
    )
    return {row.user_id: row.company_id for row in transaction.execute(statement)}


def subscriptions_of_companies(
    transaction: Transaction, application_id: str, company_ids: Collection[str]
) -> list[tuple[Subscription, datetime]]:
    """Return the companies' subscriptions, each with the instant up to which it has been billed."""
    if not company_ids:
        return []
    statement = select(subscription).where(
        subscription.c.application_id == application_id, subscription.c.company_id.in_(company_ids)
    )
    return [(subscription_from_row(row), row.billed_until) for row in transaction.execute(statement)]


def read_subscriptions(transaction: Transaction, subscription_ids: Collection[str]) -> dict[str, Subscription]:
    """Return subscriptions by id."""
    statement = select(subscription).where(subscription.c.subscription_id.in_(subscription_ids))
    return {row.subscription_id: subscription_from_row(row) for row in transaction.execute(statement)}


def meter_from_row(row: Row[tuple[object, ...]]) -> Meter:
    """Return a row of `meter` as the core's meter."""
    definition = read_definition(row.definition)
    return Meter(
        meter_id=row.meter_id,
        name=row.name,
        price_id=row.price_id,
        filter=definition.filter,
        metric=definition.metric,
        reporting_period=ReportingPeriod(row.reporting_period),
        group_by=definition.group_by,
        units=definition.units,
    )


def price_from_row(row: Row[tuple[object, ...]]) -> Price:
    """Return a row of `price` as the core's price."""
    return Price(
        price_id=row.price_id,
        plan_id=row.plan_id,
        name=row.name,
        model=Package(amount=row.package_amount, size=row.package_size),
        period=BillingPeriod(row.period),
        currency=currency(row.currency),
        tax_behavior=TaxBehavior(row.tax_behavior),
    )


def subscription_from_row(row: Row[tuple[object, ...]]) -> Subscription:
    """Return a row of `subscription` as the core's subscription."""
    return Subscription(
        subscription_id=row.subscription_id,
        company_id=row.company_id,
        plan_id=row.plan_id,
        pays=Pays(row.pays),
        currency=currency(row.currency),
        started_at=row.started_at,
        payment_terms=timedelta(seconds=row.payment_terms_s),
    )
