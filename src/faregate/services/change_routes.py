"""Make, change and delete routes."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from faregate.base.errors import Conflict
from faregate.domain.catalog.validation import require
from faregate.services.change import Change
from faregate.services.reservable import require_reservable
from faregate.services.routes import find_existing, route_to_row
from faregate.storage import routes as stored
from faregate.storage.database import Transaction
from faregate.storage.state_feed import record_change
from faregate.wire.api.routes import RouteChange, RouteCreate, can_bound, route_faults, to_fallbacks
from faregate.wire.gateway_protocol import Enforce, RouteState


def create_route(transaction: Transaction, change: Change, request: RouteCreate) -> RouteState:
    """Make a route; `InvalidInput` names what cannot be, `Conflict` a name that is taken."""
    route = RouteState(
        route_id=change.new_id("rte"),
        application_id=change.application_id,
        name=request.name,
        upstream_url=request.upstream_url.rstrip("/"),
        upstream_headers=request.upstream_headers,
        dialect=request.dialect,
        enforce=wanted_enforce(request),
        on_abort=request.on_abort,
        max_request_bytes=request.max_request_bytes,
        default_output_tokens=request.default_output_tokens,
        least_output_tokens=request.least_output_tokens,
        hold_wait_ms=request.hold_wait_ms,
        connect_timeout_ms=request.connect_timeout_ms,
        read_timeout_ms=request.read_timeout_ms,
        total_timeout_ms=request.total_timeout_ms,
        generic_json=request.generic_json,
        parts=request.parts,
        models=request.models,
        attempts=request.attempts,
        retry_statuses=request.retry_statuses,
        fallbacks=to_fallbacks(request.fallbacks),
        near_zero=request.near_zero,
        hold_output_tokens=request.hold_output_tokens,
        when_credit_ends=request.when_credit_ends,
        overdraft_output_tokens=request.overdraft_output_tokens,
        answer_cost=request.answer_cost,
    )
    require(route_faults(route))
    if stored.find_route_by_name(transaction, change.application_id, route.name) is not None:
        raise Conflict("name", f"there is already a route {route.name!r}")
    stored.insert_route(transaction, route_to_row(route), created_at=change.now)
    _follow(transaction, change, route)
    return route


def wanted_enforce(request: RouteCreate) -> Enforce:
    """Return how the route enforces: where nothing is said, as strictly as its dialect can."""
    if request.enforce is not UNSET:
        return request.enforce
    return Enforce.STRICT if can_bound(request.dialect, request.generic_json) else Enforce.NONE


def change_route(transaction: Transaction, change: Change, request: RouteChange, *, route_id: str) -> RouteState:
    """Change what is given of a route; errors as `create_route`, and `NotFound`."""
    before = find_existing(transaction, change.application_id, route_id)
    given = {name: value for name in request.__struct_fields__ if (value := getattr(request, name)) is not UNSET}
    if request.fallbacks is not UNSET:
        given["fallbacks"] = to_fallbacks(request.fallbacks)
    after = msgspec.structs.replace(before, **given)
    after = msgspec.structs.replace(after, upstream_url=after.upstream_url.rstrip("/"))
    require(route_faults(after))
    if after != before:
        stored.update_route(transaction, route_to_row(after))
        _follow(transaction, change, after)
    return after


def delete_route(transaction: Transaction, change: Change, route_id: str) -> None:
    """Delete a route: gateways answer 404 for it from now on."""
    find_existing(transaction, change.application_id, route_id)
    stored.delete_route(transaction, route_id)
    record_change(transaction, "route", route_id)


def _follow(transaction: Transaction, change: Change, route: RouteState) -> None:
    require_reservable(transaction, change, "enforce")
    record_change(transaction, "route", route.route_id)
