"""Alerts, their deliveries and destinations, and what watches balances."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Table, delete, func, insert, select, update

from faregate.domain.limits.alerts import BalanceAlert
from faregate.storage.database import Transaction
from faregate.storage.tables import (
    alert,
    alert_delivery,
    alert_destination,
    balance_alert,
    grant,
    low_balance,
    subscription,
)


class AlertKind(StrEnum):
    """What was crossed, a percentage of a limit or a balance's threshold; or usage that the provider does not have."""

    LIMIT = "limit"
    BALANCE = "balance"
    USAGE_REPORT = "usage_report"


class DestinationKind(StrEnum):
    """How alerts are delivered."""

    WEBHOOK = "webhook"
    EMAIL = "email"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """A crossing. `measured`: what is used, or what the balance is; `amount`: the limit, or the threshold; in `unit`.

    Of a report of usage: its units, 0, and its price. `source_id`: the limit, the balance alert or the report.
    `percent` is None where a threshold is an amount. `period_end` is None where a period does not end, of balances, and
    of reports, whose `period_start` is the instant of their usage.
    """

    alert_id: str
    application_id: str
    kind: AlertKind
    source_id: str
    name: str
    subject: str
    subject_id: str
    company_id: str
    period_start: datetime
    period_end: datetime | None
    percent: int | None
    measured: Decimal
    amount: Decimal
    unit: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where alerts of an application go: `address` is a URL or an e-mail address, `secret` signs webhooks."""

    destination_id: str
    application_id: str
    kind: DestinationKind
    address: str
    secret: str = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An alert on its way to a destination; `attempts` counts those that failed."""

    delivery_id: int
    destination_id: str
    attempts: int
    retry_at: datetime | None
    delivered_at: datetime | None
    gave_up_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueDelivery:
    """An alert that is to be delivered now."""

    delivery: Delivery
    alert: AlertRow
    destination: Destination


def raised_percents(transaction: Transaction, source_id: str, subject_id: str, *, period_start: datetime) -> set[int]:
    """Return the percentages of a limit that were alerted for a subject and period."""
    columns = alert.c
    statement = select(columns.percent).where(
        columns.source_id == source_id, columns.subject_id == subject_id, columns.period_start == period_start
    )
    return set(transaction.execute(statement).scalars())


def add_alerts(transaction: Transaction, application_id: str, alerts: Sequence[AlertRow]) -> None:
    """Keep alerts, and owe them to every destination that the application has now."""
    if not alerts:
        return
    transaction.execute(insert(alert), [_alert_values(row) for row in alerts])
    of = select(alert_destination.c.destination_id).where(alert_destination.c.application_id == application_id)
    destinations = list(transaction.execute(of.order_by(alert_destination.c.destination_id)).scalars())
    owed = [
        {"alert_id": row.alert_id, "destination_id": destination_id, "attempts": 0}
        for row in alerts
        for destination_id in destinations
    ]
    if owed:
        transaction.execute(insert(alert_delivery), owed)


def find_alert(transaction: Transaction, application_id: str, alert_id: str) -> AlertRow | None:
    """Return the alert with the id."""
    statement = select(alert).where(alert.c.application_id == application_id, alert.c.alert_id == alert_id)
    row = transaction.execute(statement).first()
    return None if row is None else _alert(row)


def list_alerts(
    transaction: Transaction, application_id: str, *, company_id: str | None, before: str, limit: int
) -> list[AlertRow]:
    """Return alerts, newest first, from the first one before the id (empty: from the newest)."""
    conditions = [alert.c.application_id == application_id]
    if company_id is not None:
        conditions.append(alert.c.company_id == company_id)
    if before:
        conditions.append(alert.c.alert_id < before)
    statement = select(alert).where(*conditions).order_by(alert.c.alert_id.desc()).limit(limit)
    return [_alert(row) for row in transaction.execute(statement)]


def deliveries_of(transaction: Transaction, alert_ids: Collection[str]) -> dict[str, list[Delivery]]:
    """Return how the deliveries of alerts stand, by alert; those without one are left out."""
    found: dict[str, list[Delivery]] = {}
    statement = select(alert_delivery).where(alert_delivery.c.alert_id.in_(alert_ids))
    for row in transaction.execute(statement.order_by(alert_delivery.c.delivery_id)):
        found.setdefault(row.alert_id, []).append(_delivery(row))
    return found


def due_deliveries(transaction: Transaction, *, now: datetime, limit: int) -> list[DueDelivery]:
    """Return deliveries that wait and are not held back by a failure, oldest first."""
    columns = alert_delivery.c
    statement = (
        select(alert_delivery, alert, alert_destination)
        .join(alert, alert.c.alert_id == columns.alert_id)
        .join(alert_destination, alert_destination.c.destination_id == columns.destination_id)
        .where(columns.delivered_at.is_(None), columns.gave_up_at.is_(None))
        .where(columns.retry_at.is_(None) | (columns.retry_at <= now))
        .order_by(columns.delivery_id)
        .limit(limit)
    )
    return [
        DueDelivery(delivery=_delivery(row), alert=_alert(row), destination=_destination(row))
        for row in transaction.execute(statement)
    ]


def mark_delivered(transaction: Transaction, delivery_ids: Collection[int], now: datetime) -> None:
    """Note that destinations have them."""
    transaction.execute(
        update(alert_delivery)
        .where(alert_delivery.c.delivery_id.in_(delivery_ids))
        .values(delivered_at=now, retry_at=None, last_error=None)
    )


def mark_failed(
    transaction: Transaction, delivery_id: int, *, error: str, retry_at: datetime | None, now: datetime
) -> None:
    """Count a failure; it waits until `retry_at`, or is given up where that is None."""
    transaction.execute(
        update(alert_delivery)
        .where(alert_delivery.c.delivery_id == delivery_id)
        .values(
            attempts=alert_delivery.c.attempts + 1,
            last_error=error,
            retry_at=retry_at,
            gave_up_at=now if retry_at is None else None,
        )
    )


def insert_destination(transaction: Transaction, new: Destination) -> None:
    """Keep a destination."""
    transaction.execute(
        insert(alert_destination).values(
            destination_id=new.destination_id,
            application_id=new.application_id,
            kind=new.kind.value,
            address=new.address,
            secret=new.secret,
            created_at=new.created_at,
        )
    )


def delete_destination(transaction: Transaction, destination_id: str) -> None:
    """Forget a destination and what it is owed."""
    transaction.execute(delete(alert_delivery).where(alert_delivery.c.destination_id == destination_id))
    transaction.execute(delete(alert_destination).where(alert_destination.c.destination_id == destination_id))


def list_destinations(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[Destination]:
    """Return destinations in id order, from the first one after `after`."""
    statement = (
        select(alert_destination)
        .where(alert_destination.c.application_id == application_id, alert_destination.c.destination_id > after)
        .order_by(alert_destination.c.destination_id)
        .limit(limit)
    )
    return [_destination(row) for row in transaction.execute(statement)]


def find_destination(
    transaction: Transaction, application_id: str, *, destination_id: str | None = None, address: str | None = None
) -> Destination | None:
    """Return the destination with the id or the address."""
    columns = alert_destination.c
    statement = select(alert_destination).where(columns.application_id == application_id)
    if destination_id is not None:
        statement = statement.where(columns.destination_id == destination_id)
    if address is not None:
        statement = statement.where(columns.address == address)
    row = transaction.execute(statement).first()
    return None if row is None else _destination(row)


def insert_balance_alert(
    transaction: Transaction, application_id: str, new: BalanceAlert, *, created_at: datetime
) -> None:
    """Keep a balance alert."""
    transaction.execute(
        insert(balance_alert).values(
            balance_alert_id=new.balance_alert_id,
            application_id=application_id,
            name=new.name,
            subscription_id=new.subscription_id,
            below_amount=new.below_amount,
            currency=new.currency,
            below_percent=new.below_percent,
            created_at=created_at,
        )
    )


def delete_balance_alert(transaction: Transaction, balance_alert_id: str) -> None:
    """Forget a balance alert, and which balances are low by it."""
    transaction.execute(delete(low_balance).where(low_balance.c.balance_alert_id == balance_alert_id))
    transaction.execute(delete(balance_alert).where(balance_alert.c.balance_alert_id == balance_alert_id))


def list_balance_alerts(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[BalanceAlert]:
    """Return balance alerts in id order, from the first one after `after`."""
    statement = (
        select(balance_alert)
        .where(balance_alert.c.application_id == application_id, balance_alert.c.balance_alert_id > after)
        .order_by(balance_alert.c.balance_alert_id)
        .limit(limit)
    )
    return [_balance_alert(row) for row in transaction.execute(statement)]


def all_balance_alerts(transaction: Transaction) -> dict[str, list[BalanceAlert]]:
    """Return every balance alert by application."""
    found: dict[str, list[BalanceAlert]] = {}
    for row in transaction.execute(select(balance_alert).order_by(balance_alert.c.balance_alert_id)):
        found.setdefault(row.application_id, []).append(_balance_alert(row))
    return found


def last_grants(transaction: Transaction, subscription_ids: Collection[str]) -> dict[str, int]:
    """Return the amount of each subscription's newest grant, in ledger units; those without one are left out."""
    newest = func.row_number().over(
        partition_by=grant.c.subscription_id, order_by=(grant.c.created_at.desc(), grant.c.grant_id.desc())
    )
    ranked = (
        select(grant.c.subscription_id, grant.c.amount, newest.label("place"))
        .where(grant.c.subscription_id.in_(subscription_ids))
        .subquery()
    )
    statement = select(ranked.c.subscription_id, ranked.c.amount).where(ranked.c.place == 1)
    return {row.subscription_id: row.amount for row in transaction.execute(statement)}


def low_balances(transaction: Transaction, subscription_ids: Collection[str]) -> set[tuple[str, str]]:
    """Return which balances are low already, as (balance_alert_id, subscription_id)."""
    statement = select(low_balance).where(low_balance.c.subscription_id.in_(subscription_ids))
    return {(row.balance_alert_id, row.subscription_id) for row in transaction.execute(statement)}


def note_low(transaction: Transaction, low: Collection[tuple[str, str]], *, since: datetime) -> None:
    """Note that balances fell below."""
    if low:
        rows = [{"balance_alert_id": one, "subscription_id": other, "since": since} for one, other in sorted(low)]
        transaction.execute(insert(low_balance), rows)


def note_risen(transaction: Transaction, risen: Collection[tuple[str, str]]) -> None:
    """Note that balances are above again."""
    for balance_alert_id, subscription_id in sorted(risen):
        transaction.execute(
            delete(low_balance).where(
                low_balance.c.balance_alert_id == balance_alert_id, low_balance.c.subscription_id == subscription_id
            )
        )


def subscriptions_of_application(transaction: Transaction, application_id: str) -> list[str]:
    """Return the ids of an application's subscriptions."""
    statement = select(subscription.c.subscription_id).where(subscription.c.application_id == application_id)
    return list(transaction.execute(statement.order_by(subscription.c.subscription_id)).scalars())


_DELIVERY_FIELDS = tuple(Delivery.__dataclass_fields__)
_ALERT_FIELDS = tuple(AlertRow.__dataclass_fields__)
_DESTINATION_FIELDS = tuple(Destination.__dataclass_fields__)


def _alert_values(row: AlertRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _ALERT_FIELDS} | {"kind": row.kind.value}


def _alert(row: Row[Any]) -> AlertRow:
    values = _values(row, alert, _ALERT_FIELDS)
    return AlertRow(**values | {"kind": AlertKind(values["kind"])})


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**_values(row, alert_delivery, _DELIVERY_FIELDS))


def _destination(row: Row[Any]) -> Destination:
    values = _values(row, alert_destination, _DESTINATION_FIELDS)
    return Destination(**values | {"kind": DestinationKind(values["kind"])})


def _values(row: Row[Any], table: Table, names: Collection[str]) -> dict[str, Any]:
    """Return a table's columns of a row, which may have others of the same names."""
    values = row._mapping  # noqa: SLF001 - a public name of SQLAlchemy
    return {name: values[table.c[name]] for name in names}


def _balance_alert(row: Row[Any]) -> BalanceAlert:
    return BalanceAlert(
        balance_alert_id=row.balance_alert_id,
        name=row.name,
        subscription_id=row.subscription_id,
        below_amount=row.below_amount,
        currency=row.currency,
        below_percent=row.below_percent,
    )
