"""A call's start and its event as JSON, joined from parts that are encoded once a plan, a lease, a request.

Every call writes both. To build the shapes and encode them took three times as long, so the shapes stand where they are
read: `StartRecord` (spool_records.py) and `WireEvent` (wire/event.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from faregate.apps.gateway.pools import HeldUnits, LeasedUnits
from faregate.wire.gateway_protocol import KeyState, RouteState

ATTEMPT: Final = 1
"""The gateway does not repeat a call, so each has one attempt."""

NULL: Final = b"null"

encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class PlanParts(Struct, frozen=True, kw_only=True):
    """What the records of all calls of one plan have in common, as members of a JSON object.

    `caller`: user and company. `made`: attempt, route, key, replay.
    """

    caller: bytes
    made: bytes
    route: bytes
    subscription: bytes


def plan_parts(route: RouteState, key: KeyState, subscription_id: str | None) -> PlanParts:
    """Encode what is known before a call comes."""
    return PlanParts(
        caller=_members(user_id=key.user_id, company_id=key.company_id),
        made=_members(attempt=ATTEMPT, route_id=route.route_id, key_id=key.key_id, replay=key.replay),
        route=encode(route.name),
        subscription=encode(subscription_id),
    )


def request_record(
    plan: PlanParts, *, occurred_at: datetime, uri: str, verb: str, ip_address: str | None, summary: Struct | None
) -> bytes:
    """Return a `WireRequest`, for both records of a call; `summary`: what is kept of the body."""
    return b'{"time":%b,"uri":%b,"verb":%b,"route":%b,"body":%b,"ip_address":%b}' % (
        encode(occurred_at),
        encode(uri),
        encode(verb),
        plan.route,
        NULL if summary is None else encode(summary),
        encode(ip_address),
    )


def start_record(
    plan: PlanParts, request_id: str, request: bytes, *, epoch: int, input_estimate: int, held: Iterable[HeldUnits]
) -> bytes:
    """Return a `StartRecord`; `request` as `request_record` gave it."""
    return (
        b'{"request_id":"%b","epoch":%d,%b,%b,"subscription_id":%b,"request":%b,"input_estimate":%d,"held":[%b]}'
    ) % (
        request_id.encode(),
        epoch,
        plan.made,
        plan.caller,
        plan.subscription,
        request,
        input_estimate,
        b",".join([b'{%b,%b,"units":%d}' % (part.units.json, part.need.json, part.count) for part in held]),
    )


def event_record(  # noqa: PLR0913 - an event's parts, once a call: a shape to carry them costs as much as writing them
    plan: PlanParts,
    request_id: str,
    request: bytes,
    *,
    origin: bytes,
    sequence: int,
    status: int,
    answered_at: datetime,
    summary: Struct | None,
    drawn: Mapping[LeasedUnits, int],
    estimated: bool,
    blocked_by: str | None,
) -> bytes:
    """Return a `WireEvent`.

    `request` as `request_record` gave it; `origin` (see `origin_of`) says which process wrote it; `summary`: what is
    kept of the answer; `drawn`: units by lease.
    """
    return (
        b'{"request":%b,"response":{"time":%b,"status":%d,"body":%b},%b%b,"faregate":{%b,"sequence":%d,'
        b'"request_id":"%b",%b,"drawn":[%b]%b}}'
    ) % (
        request,
        encode(answered_at),
        status,
        NULL if summary is None else encode(summary),
        plan.caller,
        b"" if blocked_by is None else b',"blocked_by":%b' % encode(blocked_by),
        origin,
        sequence,
        request_id.encode(),
        plan.made,
        b",".join([b'{%b,"units":%d}' % (units.json, count) for units, count in drawn.items()]),
        b',"estimated":true' if estimated else b"",
    )


def origin_of(gateway_id: str, epoch: int) -> bytes:
    """Return gateway and epoch as members of a JSON object."""
    return _members(gateway_id=gateway_id, epoch=epoch)


def _members(**members: object) -> bytes:
    return encode(members)[1:-1]
