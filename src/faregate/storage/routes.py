"""Routes of the gateway. What a route is set to is kept as the JSON that gateways are sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, select, update

from faregate.storage.database import Transaction
from faregate.storage.tables import route


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """A route, unique by name; `settings` is JSON: a `RouteState` without its ids and name."""

    route_id: str
    application_id: str
    name: str
    settings: str


def insert_route(transaction: Transaction, row: RouteRow, *, created_at: datetime) -> None:
    """Keep a new route."""
    transaction.execute(
        insert(route).values(
            route_id=row.route_id,
            application_id=row.application_id,
            name=row.name,
            settings=row.settings,
            created_at=created_at,
        )
    )


def update_route(transaction: Transaction, row: RouteRow) -> None:
    """Replace a route's name and settings."""
    transaction.execute(
        update(route).where(route.c.route_id == row.route_id).values(name=row.name, settings=row.settings)
    )


def delete_route(transaction: Transaction, route_id: str) -> None:
    """Forget a route."""
    transaction.execute(delete(route).where(route.c.route_id == route_id))


def find_route(transaction: Transaction, application_id: str, route_id: str) -> RouteRow | None:
    """Return the route with the id."""
    return next(iter(_routes(transaction, application_id, route.c.route_id == route_id)), None)


def find_route_by_name(transaction: Transaction, application_id: str, name: str) -> RouteRow | None:
    """Return the route with the public name."""
    return next(iter(_routes(transaction, application_id, route.c.name == name)), None)


def list_routes(transaction: Transaction, application_id: str, *, after: str, limit: int) -> list[RouteRow]:
    """Return routes in id order, from the first one after `after`."""
    return _routes(transaction, application_id, route.c.route_id > after, limit=limit)


def routes_of_application(transaction: Transaction, application_id: str) -> list[RouteRow]:
    """Return all routes, in id order."""
    return _routes(transaction, application_id)


def _routes(
    transaction: Transaction, application_id: str, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[RouteRow]:
    statement = (
        select(route)
        .where(route.c.application_id == application_id, *conditions)
        .order_by(route.c.route_id)
        .limit(limit)
    )
    return [
        RouteRow(route_id=row.route_id, application_id=row.application_id, name=row.name, settings=row.settings)
        for row in transaction.execute(statement)
    ]
