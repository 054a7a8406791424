"""What closing needs: windows that the provider must hear of, subscriptions whose period is over, and who they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import ColumnElement, bindparam, or_, select, update

from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceSeries, PriceVersion
from faregate.domain.customers.subscription import Subscription
from faregate.storage.database import Transaction
from faregate.storage.ledger import PriceTotal, total_from_row
from faregate.storage.metered import series_of_plan, subscription_from_row
from faregate.storage.reratings import ReratingStatus
from faregate.storage.tables import company, meter, plan, price, price_total, rerating, subscription, usage_window
from faregate.storage.usage import WindowKey

_SHORTEST_PERIOD = timedelta(days=28)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreportedWindow:
    """A usage window that may differ from what was reported of it: `quantity` is what it adds to the total."""

    key: WindowKey
    period_start: datetime
    price_id: str
    quantity: Decimal
    reported_quantity: Decimal
    reported_revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPeriod:
    """A subscription and the start of the period that is not billed yet."""

    application_id: str
    subscription: Subscription
    billed_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledCustomer:
    """Who and what a subscription is, in the names that the provider shows; `prices` are all versions of its plan's."""

    application_id: str
    subscription: Subscription
    company_name: str
    plan_name: str
    prices: tuple[Price, ...]


def unreported_windows(
    transaction: Transaction, application_id: str, *, ended_by: datetime, limit: int
) -> list[UnreportedWindow]:
    """Return windows that ended by an instant and changed since they were reported, earliest first.

    Those of a price that is being re-rated wait: which version they are of is not settled for all of them yet.
    """
    unsettled = select(rerating.c.series_id).where(rerating.c.status == ReratingStatus.APPLYING.value)
    return _windows(
        transaction,
        usage_window.c.dirty,
        usage_window.c.application_id == application_id,
        usage_window.c.end_at <= ended_by,
        meter.c.price_id.not_in(unsettled),
        limit=limit,
    )


def is_being_rerated(transaction: Transaction, plan_id: str) -> bool:
    """Return whether a re-rating of a price of the plan is being applied."""
    statement = (
        select(rerating.c.rerating_id)
        .join(price, price.c.price_id == rerating.c.series_id)
        .where(price.c.plan_id == plan_id, rerating.c.status == ReratingStatus.APPLYING.value)
    )
    return transaction.execute(statement).first() is not None


def unreported_windows_of_period(
    transaction: Transaction, subscription_id: str, period_start: datetime
) -> list[UnreportedWindow]:
    """Return a subscription's changed windows that are billed in the period: its own, and late ones of earlier ones."""
    return _windows(
        transaction,
        usage_window.c.dirty,
        usage_window.c.subscription_id == subscription_id,
        usage_window.c.period_start <= period_start,
    )


def windows_between(
    transaction: Transaction, application_id: str, *, from_at: datetime, to_at: datetime
) -> list[UnreportedWindow]:
    """Return windows of subscriptions whose usage is reported in [from_at, to_at), whatever was reported of them."""
    columns = usage_window.c
    found = _windows(
        transaction,
        columns.application_id == application_id,
        columns.subscription_id != "",
        or_(columns.start_at >= from_at, columns.period_start >= from_at),
        columns.start_at < to_at,
    )
    return [window for window in found if from_at <= max(window.key.start_at, window.period_start) < to_at]


def mark_reported(transaction: Transaction, windows: Sequence[UnreportedWindow]) -> None:
    """Keep the windows' quantities as reported; a revision is counted where they differed."""
    if not windows:
        return
    columns = usage_window.c
    transaction.execute(
        update(usage_window)
        .where(
            columns.application_id == bindparam("of_application"),
            columns.company_id == bindparam("of_company"),
            columns.meter_id == bindparam("of_meter"),
            columns.subscription_id == bindparam("of_subscription"),
            columns.start_at == bindparam("from_start"),
            columns.group_key == bindparam("of_group"),
        )
        .values(reported_quantity=bindparam("told"), reported_revision=bindparam("revision"), dirty=False),
        [
            {
                "of_application": window.key.application_id,
                "of_company": window.key.company_id,
                "of_meter": window.key.meter_id,
                "of_subscription": window.key.subscription_id,
                "from_start": window.key.start_at,
                "of_group": window.key.group_key,
                "told": window.quantity,
                "revision": window.reported_revision + (window.quantity != window.reported_quantity),
            }
            for window in windows
        ],
    )


def open_periods(transaction: Transaction, subscription_ids: Collection[str]) -> dict[str, OpenPeriod]:
    """Return the open periods of subscriptions."""
    found = _open_periods(transaction, subscription.c.subscription_id.in_(subscription_ids))
    return {period.subscription.subscription_id: period for period in found}


def periods_perhaps_ended(transaction: Transaction, application_id: str, *, by: datetime) -> list[OpenPeriod]:
    """Return the open periods that may have ended by an instant: a month of UTC has 28 days at least."""
    return _open_periods(
        transaction,
        subscription.c.application_id == application_id,
        or_(subscription.c.billed_until <= by - _SHORTEST_PERIOD, subscription.c.cycle != ""),
    )


def move_billed_until(transaction: Transaction, subscription_id: str, instant: datetime) -> None:
    """Begin a subscription's next open period: later events are charged there, whenever they occurred."""
    transaction.execute(
        update(subscription).where(subscription.c.subscription_id == subscription_id).values(billed_until=instant)
    )


def totals_of_period(transaction: Transaction, subscription_id: str, period_start: datetime) -> list[PriceTotal]:
    """Return the totals of every price that a subscription used or held in a period, in price order."""
    statement = (
        select(price_total)
        .where(price_total.c.subscription_id == subscription_id, price_total.c.period_start == period_start)
        .order_by(price_total.c.price_id)
    )
    return [total_from_row(row) for row in transaction.execute(statement)]


def read_billed_customers(transaction: Transaction, subscription_ids: Collection[str]) -> dict[str, BilledCustomer]:
    """Return who subscriptions are, with every version of their plans' prices in their currency, in id order."""
    statement = (
        select(subscription, company.c.name.label("company_name"), plan.c.name.label("plan_name"))
        .join(
            company,
            (company.c.application_id == subscription.c.application_id)
            & (company.c.company_id == subscription.c.company_id),
        )
        .join(plan, plan.c.plan_id == subscription.c.plan_id)
        .where(subscription.c.subscription_id.in_(subscription_ids))
    )
    versions: dict[str, list[tuple[PriceSeries, PriceVersion]]] = {}
    found = {}
    for row in transaction.execute(statement):
        if row.plan_id not in versions:
            series = series_of_plan(transaction, row.plan_id)
            versions[row.plan_id] = [(one, version) for one in series for version in one.every_version]
        subscribed = subscription_from_row(row)
        found[row.subscription_id] = BilledCustomer(
            application_id=row.application_id,
            subscription=subscribed,
            company_name=row.company_name,
            plan_name=row.plan_name,
            prices=tuple(
                one.price(version, subscribed.currency)
                for one, version in versions[row.plan_id]
                if subscribed.currency in version.terms
            ),
        )
    return found


def _open_periods(transaction: Transaction, *conditions: ColumnElement[bool]) -> list[OpenPeriod]:
    statement = select(subscription).where(*conditions).order_by(subscription.c.subscription_id)
    return [
        OpenPeriod(
            application_id=row.application_id, subscription=subscription_from_row(row), billed_until=row.billed_until
        )
        for row in transaction.execute(statement)
    ]


def _windows(
    transaction: Transaction, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[UnreportedWindow]:
    columns = usage_window.c
    statement = (
        select(usage_window, meter.c.price_id)
        .join(meter, meter.c.meter_id == columns.meter_id)
        .where(*conditions)
        .order_by(columns.end_at, columns.company_id, columns.meter_id)
        .limit(limit)
    )
    return [
        UnreportedWindow(
            key=WindowKey(
                row.application_id, row.company_id, row.meter_id, row.subscription_id, row.start_at, row.group_key
            ),
            period_start=row.period_start,
            price_id=row.price_id,
            quantity=row.billed_quantity,
            reported_quantity=row.reported_quantity,
            reported_revision=row.reported_revision,
        )
        for row in transaction.execute(statement)
    ]
