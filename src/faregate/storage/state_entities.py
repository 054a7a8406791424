"""What gateways must know, read by kind: all of it, or the entities that changed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, Row, Select, select

from faregate.domain.governance.rule import Rule
from faregate.domain.metering.meter import Meter
from faregate.storage.database import Transaction
from faregate.storage.metered import meter_from_row
from faregate.storage.routes import RouteRow
from faregate.storage.rules import rule_from_row
from faregate.storage.tables import api_key, application, membership, meter, price, route, rule, subscription

_SLICE: Final = 500
"""Ids in one statement: well below what either database takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveKey:
    """A key that is not revoked."""

    key_id: str
    application_id: str
    key_hash: str
    company_id: str
    user_id: str | None
    replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredSubscription:
    """A subscription and those prices of its plan that a meter feeds, in id order."""

    subscription_id: str
    application_id: str
    company_id: str
    plan_id: str
    pays: str
    started_at: datetime
    price_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedMeter:
    """A meter and the application it belongs to."""

    application_id: str
    meter: Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedRule:
    """A rule and the application it belongs to."""

    application_id: str
    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyCohorts:
    """The cohorts a company is in; `cohorts` is JSON text."""

    application_id: str
    company_id: str
    cohorts: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessClock:
    """How far an application's business time runs ahead, in microseconds."""

    application_id: str
    offset_us: int


def read_routes(transaction: Transaction, ids: Collection[str] | None) -> list[RouteRow]:
    """Return routes by id; all of them for None."""
    return [_route(row) for row in _rows(transaction, select(route), id_column=route.c.route_id, ids=ids)]


def read_live_keys(transaction: Transaction, ids: Collection[str] | None) -> list[LiveKey]:
    """Return keys that are not revoked."""
    live = select(api_key).where(api_key.c.revoked_at.is_(None))
    return [_key(row) for row in _rows(transaction, live, id_column=api_key.c.key_id, ids=ids)]


def read_metered_subscriptions(transaction: Transaction, ids: Collection[str] | None) -> list[MeteredSubscription]:
    """Return subscriptions with their metered prices."""
    prices: dict[str, list[str]] = {}
    metered = (
        select(price.c.plan_id, price.c.price_id)
        .where(price.c.price_id.in_(select(meter.c.price_id)))
        .order_by(price.c.price_id)
    )
    for row in transaction.execute(metered):
        prices.setdefault(row.plan_id, []).append(row.price_id)
    found = _rows(transaction, select(subscription), id_column=subscription.c.subscription_id, ids=ids)
    return [_subscription(row, prices.get(row.plan_id, ())) for row in found]


def read_meters(transaction: Transaction, ids: Collection[str] | None) -> list[OwnedMeter]:
    """Return meters."""
    found = _rows(transaction, select(meter), id_column=meter.c.meter_id, ids=ids)
    return [OwnedMeter(application_id=row.application_id, meter=meter_from_row(row)) for row in found]


def read_active_rules(transaction: Transaction, ids: Collection[str] | None) -> list[OwnedRule]:
    """Return active rules."""
    found = _rows(transaction, select(rule).where(rule.c.active), id_column=rule.c.rule_id, ids=ids)
    return [OwnedRule(application_id=row.application_id, rule=rule_from_row(row)) for row in found]


def read_cohorts(transaction: Transaction, companies: Collection[tuple[str, str]] | None) -> list[CompanyCohorts]:
    """Return companies that are in a cohort, by (application_id, company_id)."""
    company_ids = None if companies is None else {company_id for _, company_id in companies}
    found = _rows(transaction, select(membership), id_column=membership.c.company_id, ids=company_ids)
    return [_cohorts(row) for row in found if companies is None or (row.application_id, row.company_id) in companies]


def read_business_clocks(transaction: Transaction, ids: Collection[str] | None) -> list[BusinessClock]:
    """Return applications' clocks."""
    found = _rows(transaction, select(application), id_column=application.c.application_id, ids=ids)
    return [_clock(row) for row in found]


def _rows(
    transaction: Transaction, statement: Select[Any], *, id_column: Column[str], ids: Collection[str] | None
) -> Iterator[Row[Any]]:
    ordered = statement.order_by(id_column)
    if ids is None:
        yield from transaction.execute(ordered)
        return
    for some in _slices(sorted(ids)):
        yield from transaction.execute(ordered.where(id_column.in_(some)))


def _slices(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _SLICE):
        yield ids[start : start + _SLICE]


def _route(row: Row[Any]) -> RouteRow:
    return RouteRow(route_id=row.route_id, application_id=row.application_id, name=row.name, settings=row.settings)


def _key(row: Row[Any]) -> LiveKey:
    return LiveKey(
        key_id=row.key_id,
        application_id=row.application_id,
        key_hash=row.key_hash,
        company_id=row.company_id,
        user_id=row.user_id,
        replay=row.replay,
    )


def _subscription(row: Row[Any], price_ids: Sequence[str]) -> MeteredSubscription:
    return MeteredSubscription(
        subscription_id=row.subscription_id,
        application_id=row.application_id,
        company_id=row.company_id,
        plan_id=row.plan_id,
        pays=row.pays,
        started_at=row.started_at,
        price_ids=tuple(price_ids),
    )


def _cohorts(row: Row[Any]) -> CompanyCohorts:
    return CompanyCohorts(application_id=row.application_id, company_id=row.company_id, cohorts=row.cohorts)


def _clock(row: Row[Any]) -> BusinessClock:
    return BusinessClock(application_id=row.application_id, offset_us=row.clock_offset_us)
