"""Routes of the gateway, and the rules that block them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services import change_routes, routes, rules
from faregate.services.bounds import bound_query, read_bound_quality
from faregate.services.business_clock import business_now
from faregate.storage.database import Transaction
from faregate.storage.routes import list_routes
from faregate.storage.rules import list_rules
from faregate.wire.api.bounds import RouteBoundsView
from faregate.wire.api.common import Page
from faregate.wire.api.routes import RouteChange, RouteCreate, RouteView, route_view
from faregate.wire.api.rules import RuleChange, RuleCreate, RuleView, rule_view

From = Annotated[
    datetime | None,
    QueryParameter(name="from", description="The first day, in UTC: the day of this instant. 30 days before the last."),
]
To = Annotated[
    datetime | None,
    QueryParameter(name="to", description="The end: days that begin before this instant. Now unless it is given."),
]


@get("/routes", summary="List routes", tags=["Routes"])
async def list_all_routes(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[RouteView]:
    """Routes of the gateway, in the order in which they were made."""
    rows = await call.read(lambda tx: list_routes(tx, call.application_id, after=paging.after, limit=paging.rows))
    return paging.page(rows, lambda row: row.route_id, lambda row: route_view(routes.route_from_row(row)))


@post("/routes", summary="Make a route", tags=["Routes"])
async def make_route(call: NamedDependency[Call], data: JSONBody[RouteCreate]) -> RouteView:
    """Make a route: the gateways serve it within moments."""
    return route_view(await call.change(lambda tx, change: change_routes.create_route(tx, change, data)))


@get("/routes/{route_id:str}", summary="Get a route", tags=["Routes"])
async def get_route(call: NamedDependency[Call], route_id: FromPath[str]) -> RouteView:
    """Return one route."""
    return route_view(await call.read(lambda tx: routes.find_existing(tx, call.application_id, route_id)))


@patch("/routes/{route_id:str}", summary="Change a route", tags=["Routes"])
async def patch_route(call: NamedDependency[Call], route_id: FromPath[str], data: JSONBody[RouteChange]) -> RouteView:
    """Change a route; what is left out stays."""
    return route_view(
        await call.change(lambda tx, change: change_routes.change_route(tx, change, data, route_id=route_id))
    )


@get("/routes/{route_id:str}/bounds", summary="Read how good bounds are", tags=["Routes"])
async def get_bounds(
    *, call: NamedDependency[Call], route_id: FromPath[str], from_at: From = None, to_at: To = None
) -> RouteBoundsView:
    """What was held for calls of the route against what they used, price by price; the last 30 days unless said."""

    def read(transaction: Transaction) -> RouteBoundsView:
        to_at_or_now = business_now(transaction, call.application_id, call.backend.clock) if to_at is None else to_at
        query = bound_query(call.application_id, route_id, from_at=from_at, to_at=to_at_or_now)
        return read_bound_quality(transaction, query)

    return await call.read(read)


@delete("/routes/{route_id:str}", summary="Delete a route", tags=["Routes"])
async def remove_route(call: NamedDependency[Call], route_id: FromPath[str]) -> None:
    """Delete a route: gateways answer 404 for it from then on."""
    await call.change(lambda tx, change: change_routes.delete_route(tx, change, route_id))


@get("/rules", summary="List rules", tags=["Rules"])
async def list_all_rules(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[RuleView]:
    """Governance rules, in the order in which they were made."""
    rows = await call.read(lambda tx: list_rules(tx, call.application_id, after=paging.after, limit=paging.rows))
    return paging.page(rows, lambda rule: rule.rule_id, rule_view)


@post("/rules", summary="Make a rule from a template", tags=["Rules"])
async def make_rule(call: NamedDependency[Call], data: JSONBody[RuleCreate]) -> RuleView:
    """Make a rule. It is active at once, and blocks every route until `block_what` is set."""
    return rule_view(await call.change(lambda tx, change: rules.create_rule(tx, change, data)))


@get("/rules/{rule_id:str}", summary="Get a rule", tags=["Rules"])
async def get_rule(call: NamedDependency[Call], rule_id: FromPath[str]) -> RuleView:
    """Return one rule."""
    return rule_view(await call.read(lambda tx: rules.find_existing(tx, call.application_id, rule_id)))


@patch("/rules/{rule_id:str}", summary="Change a rule", tags=["Rules"])
async def patch_rule(call: NamedDependency[Call], rule_id: FromPath[str], data: JSONBody[RuleChange]) -> RuleView:
    """Change a rule; what is left out stays."""
    return rule_view(await call.change(lambda tx, change: rules.change_rule(tx, change, data, rule_id=rule_id)))


@delete("/rules/{rule_id:str}", summary="Delete a rule", tags=["Rules"])
async def remove_rule(call: NamedDependency[Call], rule_id: FromPath[str]) -> None:
    """Delete a rule: it blocks nothing from then on."""
    await call.change(lambda tx, change: rules.delete_rule(tx, change, rule_id))


HANDLERS = [
    list_all_routes,
    make_route,
    get_route,
    patch_route,
    get_bounds,
    remove_route,
    list_all_rules,
    make_rule,
    get_rule,
    patch_rule,
    remove_rule,
]
