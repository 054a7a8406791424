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


class CallParts(Struct, frozen=True, kw_only=True):
    """What is known of a call when it begins: its id, its time and its request (a `WireRequest`), all as JSON."""

    request_id: bytes
    occurred_at: bytes
    request: bytes


def call_parts(
    plan: PlanParts,
    *,
    request_id: str,
    occurred_at: datetime,
    uri: str,
    verb: str,
    ip_address: str | None,
    body: bytes,
) -> CallParts:
    """Encode a call's request as both of its records keep it; `body`: what is kept of the body, as JSON."""
    time = encode(occurred_at)
    request = b'{"time":%b,"uri":%b,"verb":%b,"route":%b,"body":%b,"ip_address":%b}' % (
        time,
        encode(uri),
        encode(verb),
        plan.route,
        body,
        encode(ip_address),
    )
    return CallParts(request_id=encode(request_id), occurred_at=time, request=request)


def start_record(
    plan: PlanParts, call: CallParts, *, epoch: int, input_estimate: int, held: Iterable[HeldUnits]
) -> bytes:
    """Return a `StartRecord`."""
    parts = b",".join(
        [
            b'{"lease_id":%b,"price_id":%b,"units":%d,"per_input":%d,"per_output":%d}'
            % (part.units.lease_json, part.units.price_json, part.count, part.need.per_input, part.need.per_output)
            for part in held
        ]
    )
    return (
        b'{"request_id":%b,"epoch":%d,%b,%b,"subscription_id":%b,"occurred_at":%b,"request":%b,"input_estimate":%d,'
        b'"held":[%b]}'
    ) % (
        call.request_id,
        epoch,
        plan.made,
        plan.caller,
        plan.subscription,
        call.occurred_at,
        call.request,
        input_estimate,
        parts,
    )


class Ending(Struct, frozen=True):
    """How a call ended. `answered_at` and `body` (what is kept of the answer) as JSON; `drawn`: units by lease."""

    status: int
    answered_at: bytes
    body: bytes
    drawn: Mapping[LeasedUnits, int]
    estimated: bool
    blocked_by: str | None


def event_record(plan: PlanParts, call: CallParts, ending: Ending, *, origin: bytes, sequence: int) -> bytes:
    """Return a `WireEvent`; `origin` (see `origin_of`) says which process wrote it."""
    blocked_by = ending.blocked_by
    return (
        b'{"request":%b,"response":{"time":%b,"status":%d,"body":%b},%b%b,"faregate":{%b,"sequence":%d,"request_id":%b,'
        b'%b,"drawn":[%b]%b}}'
    ) % (
        call.request,
        ending.answered_at,
        ending.status,
        ending.body,
        plan.caller,
        b"" if blocked_by is None else b',"blocked_by":%b' % encode(blocked_by),
        origin,
        sequence,
        call.request_id,
        plan.made,
        b",".join([b'{"lease_id":%b,"units":%d}' % (units.lease_json, count) for units, count in ending.drawn.items()]),
        b',"estimated":true' if ending.estimated else b"",
    )


def origin_of(gateway_id: str, epoch: int) -> bytes:
    """Return gateway and epoch as members of a JSON object."""
    return _members(gateway_id=gateway_id, epoch=epoch)


def _members(**members: object) -> bytes:
    return encode(members)[1:-1]
