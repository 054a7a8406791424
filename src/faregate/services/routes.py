"""Routes of the gateway: from a row to what gateways are sent, and back."""

from __future__ import annotations

import msgspec

from faregate.base.errors import NotFound
from faregate.storage.database import Transaction
from faregate.storage.routes import RouteRow, find_route
from faregate.wire.gateway_protocol import RouteState

_OWN_COLUMNS = ("type", "route_id", "application_id", "name")


def route_from_row(row: RouteRow) -> RouteState:
    """Return a row as gateways are sent it."""
    settings = msgspec.json.decode(row.settings, type=dict[str, object])
    own = {"route_id": row.route_id, "application_id": row.application_id, "name": row.name}
    return msgspec.convert(settings | own, RouteState)


def route_to_row(route: RouteState) -> RouteRow:
    """Return the row that `route_from_row` reads."""
    fields = msgspec.to_builtins(route)
    settings = {name: value for name, value in fields.items() if name not in _OWN_COLUMNS}
    return RouteRow(
        route_id=route.route_id,
        application_id=route.application_id,
        name=route.name,
        settings=msgspec.json.encode(settings).decode(),
    )


def find_existing(transaction: Transaction, application_id: str, route_id: str) -> RouteState:
    """Return the route; `NotFound` if there is none of that id."""
    row = find_route(transaction, application_id, route_id)
    if row is None:
        raise NotFound("route", route_id)
    return route_from_row(row)
