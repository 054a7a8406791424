"""What metering needs to know of the catalog and the customers, read in a few statements for a whole batch."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, select

from faregate.base.money import currency
from faregate.base.periods import Span
from faregate.domain.catalog.price import BillingPeriod, TaxBehavior
from faregate.domain.catalog.terms_text import read_terms
from faregate.domain.catalog.versions import AppliesTo, PriceList, PriceSeries, PriceVersion, Replaced
from faregate.domain.customers.subscription import Pays, Subscription
from faregate.domain.metering.definition import read_definition
from faregate.domain.metering.meter import Meter
from faregate.domain.metering.windows import ReportingPeriod
from faregate.storage.billing_cycle import read_cycle
from faregate.storage.database import Transaction
from faregate.storage.tables import meter, price, price_replacement, subscription, user


def read_all_meters(transaction: Transaction) -> dict[str, list[Meter]]:
    """Return every meter, by application, in id order."""
    meters: dict[str, list[Meter]] = {}
    for row in transaction.execute(select(meter).order_by(meter.c.meter_id)):
        meters.setdefault(row.application_id, []).append(meter_from_row(row))
    return meters


def read_all_prices(transaction: Transaction) -> PriceList:
    """Return every price."""
    return PriceList(_series(transaction))


def read_prices(transaction: Transaction, price_ids: Collection[str]) -> PriceList:
    """Return the prices of these versions, each with all of its versions."""
    series_ids = select(price.c.series_id).where(price.c.price_id.in_(price_ids))
    return PriceList(_series(transaction, price.c.series_id.in_(series_ids)))


def metered_series_of_plans(transaction: Transaction, plan_ids: Collection[str]) -> dict[str, list[PriceSeries]]:
    """Return, by plan and in id order, the prices that a meter feeds."""
    metered = price.c.series_id.in_(select(meter.c.price_id))
    prices: dict[str, list[PriceSeries]] = {}
    for found in _series(transaction, price.c.plan_id.in_(plan_ids), metered):
        prices.setdefault(found.plan_id, []).append(found)
    return prices


def series_of_plan(transaction: Transaction, plan_id: str) -> list[PriceSeries]:
    """Return all prices of a plan, in id order."""
    return _series(transaction, price.c.plan_id == plan_id)


def series_of_application(transaction: Transaction, application_id: str) -> list[PriceSeries]:
    """Return all prices of an application, in id order."""
    return _series(transaction, price.c.application_id == application_id)


def find_series(transaction: Transaction, application_id: str, series_id: str) -> PriceSeries | None:
    """Return the price with the id."""
    found = _series(transaction, price.c.application_id == application_id, price.c.series_id == series_id)
    return next(iter(found), None)


def series_from_rows(rows: Iterable[Row[tuple[object, ...]]]) -> list[PriceSeries]:
    """Return rows of `price`, which are its versions, as prices; in the rows' order, which has versions together."""
    return [_one_series(list(versions)) for _, versions in groupby(rows, key=attrgetter("series_id"))]


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
    if not subscription_ids:
        return {}
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


def _series(transaction: Transaction, *conditions: ColumnElement[bool]) -> list[PriceSeries]:
    statement = price_versions().where(*conditions).order_by(price.c.series_id, price.c.version)
    return series_from_rows(transaction.execute(statement))


def price_versions() -> Select[Any]:
    """Return the statement of all versions of prices, for `series_from_rows`."""
    made = price_replacement.c
    return select(price, made.replaces, made.from_at, made.to_at, made.rerating_id).outerjoin(
        price_replacement, made.price_id == price.c.price_id
    )


def _one_series(rows: list[Row[tuple[object, ...]]]) -> PriceSeries:
    first = rows[0]
    versions = [_version(row) for row in rows]
    return PriceSeries(
        series_id=first.series_id,
        plan_id=first.plan_id,
        name=first.name,
        period=BillingPeriod(first.period),
        tax_behavior=TaxBehavior(first.tax_behavior),
        versions=tuple(version for version in versions if version.replaces is None),
        replacements=tuple(version for version in versions if version.replaces is not None),
    )


def _version(row: Row[tuple[object, ...]]) -> PriceVersion:
    return PriceVersion(
        price_id=row.price_id,
        number=row.version,
        effective_at=row.effective_at,
        applies_to=AppliesTo(row.applies_to),
        terms=read_terms(row.terms),
        replaces=None
        if row.replaces is None
        else Replaced(price_id=row.replaces, span=Span(row.from_at, row.to_at), rerating_id=row.rerating_id),
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
        cycle=read_cycle(row.cycle),
    )
