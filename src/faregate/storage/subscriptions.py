"""Subscriptions, for those who make and list them; metering itself reads `metered.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, insert, select, update

from faregate.domain.customers.subscription import Pays, Subscription
from faregate.storage.billing_cycle import write_cycle
from faregate.storage.database import Transaction
from faregate.storage.metered import subscription_from_row
from faregate.storage.tables import subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """A subscription and the instant up to which it is billed: the start of its open period."""

    subscription: Subscription
    billed_until: datetime
    created_at: datetime


def insert_subscription(transaction: Transaction, application_id: str, row: SubscriptionRow) -> None:
    """Keep a new subscription."""
    new = row.subscription
    transaction.execute(
        insert(subscription).values(
            subscription_id=new.subscription_id,
            application_id=application_id,
            company_id=new.company_id,
            plan_id=new.plan_id,
            pays=new.pays.value,
            currency=new.currency.code,
            started_at=new.started_at,
            payment_terms_s=int(new.payment_terms.total_seconds()),
            cycle=write_cycle(new.cycle),
            billed_until=row.billed_until,
            created_at=row.created_at,
        )
    )


def set_cycle(transaction: Transaction, changed: Subscription) -> None:
    """Keep a subscription's cycle, which alone of it changes."""
    transaction.execute(
        update(subscription)
        .where(subscription.c.subscription_id == changed.subscription_id)
        .values(cycle=write_cycle(changed.cycle))
    )


def find_subscription(transaction: Transaction, application_id: str, subscription_id: str) -> SubscriptionRow | None:
    """Return the subscription with the id."""
    found = _subscriptions(transaction, application_id, subscription.c.subscription_id == subscription_id)
    return next(iter(found), None)


def application_of_subscription(transaction: Transaction, subscription_id: str) -> str | None:
    """Return whose subscription it is; None where there is none of that id."""
    statement = select(subscription.c.application_id).where(subscription.c.subscription_id == subscription_id)
    return transaction.execute(statement).scalar()


def find_subscription_to_plan(
    transaction: Transaction, application_id: str, *, company_id: str, plan_id: str
) -> SubscriptionRow | None:
    """Return the company's subscription to the plan; it has one at most."""
    found = _subscriptions(
        transaction, application_id, subscription.c.company_id == company_id, subscription.c.plan_id == plan_id
    )
    return next(iter(found), None)


def subscriptions_to_plan(transaction: Transaction, application_id: str, plan_id: str) -> list[SubscriptionRow]:
    """Return all subscriptions to a plan, in id order."""
    return _subscriptions(transaction, application_id, subscription.c.plan_id == plan_id)


def list_subscriptions(
    transaction: Transaction, application_id: str, *, company_id: str | None, after: str, limit: int
) -> list[SubscriptionRow]:
    """Return subscriptions, of one company or of all, in id order, from the first one after `after`."""
    conditions = [subscription.c.subscription_id > after]
    if company_id is not None:
        conditions.append(subscription.c.company_id == company_id)
    return _subscriptions(transaction, application_id, *conditions, limit=limit)


def prepaid_plan_ids(transaction: Transaction, application_id: str) -> set[str]:
    """Return the plans that have a prepaid subscription."""
    statement = (
        select(subscription.c.plan_id)
        .where(subscription.c.application_id == application_id, subscription.c.pays == Pays.PREPAID.value)
        .distinct()
    )
    return set(transaction.execute(statement).scalars())


def _subscriptions(
    transaction: Transaction, application_id: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[SubscriptionRow]:
    statement = (
        select(subscription)
        .where(subscription.c.application_id == application_id, *conditions)
        .order_by(subscription.c.subscription_id)
        .limit(limit)
    )
    return [
        SubscriptionRow(
            subscription=subscription_from_row(row), billed_until=row.billed_until, created_at=row.created_at
        )
        for row in transaction.execute(statement)
    ]
