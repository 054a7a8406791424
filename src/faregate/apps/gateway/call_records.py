"""A call's start and its event as JSON, joined from parts that are encoded once a plan, a lease, a request.

Every call writes both. To build the shapes and encode them took three times as long, so the shapes stand where they are
read: `PlanRecord` and `StartRecord` (spool_records.py) and `WireEvent` (wire/event.py). An event is joined
by `event_of` alone, so that one read back from the spool is byte for byte what was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from faregate.apps.gateway.pools import HeldUnits, Hold, LeasedUnits, PriceNeed
from faregate.apps.gateway.spool_records import NeedRecord, PlanRecord
from faregate.wire.gateway_protocol import KeyState, RouteState

ATTEMPT: Final = 1
"""The gateway does not repeat a call, so each has one attempt."""

NULL: Final = b"null"

encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class PlanParts:
    """What the records of all calls of one plan have in common.

    `caller` (user and company) and `made` (attempt, route, key, replay) are members of a JSON object; `route` is the
    route's name, `record` all of it as a `PlanRecord`.
    """

    __slots__ = ("caller", "made", "record", "route")

    def __init__(self, *, caller: bytes, made: bytes, route: bytes, record: bytes) -> None:
        self.caller = caller
        self.made = made
        self.route = route
        self.record = record


def plan_parts(
    route: RouteState, key: KeyState, needs: Iterable[PriceNeed], *, usage_names: tuple[str, ...]
) -> PlanParts:
    """Encode what is known before a call comes; `usage_names`: of its dialect, empty where no usage is read."""
    return parts_of(
        PlanRecord(
            attempt=ATTEMPT,
            route_id=route.route_id,
            route=route.name,
            key_id=key.key_id,
            user_id=key.user_id,
            company_id=key.company_id,
            replay=key.replay,
            usage_names=usage_names,
            needs=[NeedRecord(need.price_id, need.per_input, need.per_output) for need in needs],
        )
    )


def parts_of(plan: PlanRecord) -> PlanParts:
    """Return the parts that a plan's calls were written with."""
    return PlanParts(
        caller=_members(user_id=plan.user_id, company_id=plan.company_id),
        made=_members(attempt=plan.attempt, route_id=plan.route_id, key_id=plan.key_id, replay=plan.replay),
        route=encode(plan.route),
        record=encode(plan),
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
    request_id: str, request: bytes, *, epoch: int, input_estimate: int, held: Iterable[HeldUnits]
) -> bytes:
    """Return a `StartRecord`; `request` as `request_record` gave it."""
    return b'["%b",%d,%d,[%b],%b]' % (
        request_id.encode(),
        epoch,
        input_estimate,
        b",".join([b"[%b,%b,%d]" % (part.units.lease_json, part.units.price_json, part.count) for part in held]),
        request,
    )


def drawn_rows(drawn: Mapping[LeasedUnits, int]) -> bytes:
    """Return units drawn by lease as `Drawn` rows."""
    return b",".join([b'{"lease_id":%b,"units":%d}' % (units.lease_json, drawn[units]) for units in drawn])


def held_rows(parts: Sequence[HeldUnits], drawn: Mapping[LeasedUnits, int]) -> bytes:
    """Return the same of a call whose usage was read, with what was held: of leases nothing was drawn from, too."""
    held = dict.fromkeys(drawn, 0)
    for part in parts:
        held[part.units] = held.get(part.units, 0) + part.count
    return b",".join(
        [
            b'{"lease_id":%b,"units":%d,"held":%d}' % (units.lease_json, drawn.get(units, 0), held[units])
            for units in held
        ]
    )


def hold_remarks(hold: Hold) -> bytes:
    """Return what is out of the ordinary with a settled hold, as members of the call's facts."""
    clamped = b',"clamped":true' if hold.clamped else b""
    return clamped + (b',"uncovered":%d' % hold.uncovered if hold.uncovered else b"")


def event_tail(
    sequence: int,
    *,
    drawn: bytes,
    estimated: bool,
    answered_at: datetime,
    status: int,
    summary: Struct | None,
    blocked_by: str | None,
    facts: bytes = b"",
) -> bytes:
    """Return an event's JSON from its sequence number on: what is known only at its end.

    `drawn`: rows as above; `summary`: what is kept of the answer; `facts`: more of `GatewayFacts`, each member behind a
    comma.
    """
    return b'%d,"drawn":[%b]%b%b},"response":{"time":%b,"status":%d,"body":%b}%b}' % (
        sequence,
        drawn,
        b',"estimated":true' if estimated else b"",
        facts,
        encode(answered_at),
        status,
        NULL if summary is None else encode(summary),
        b"" if blocked_by is None else b',"blocked_by":%b' % encode(blocked_by),
    )


def event_of(plan: PlanParts, request_id: str, request: bytes, *, origin: bytes, tail: bytes) -> bytes:
    """Return a `WireEvent` that ends in an `event_tail`; `origin` (see `origin_of`) says which process wrote it."""
    return b'{"request":%b,%b,"faregate":{%b,%b,"request_id":"%b","sequence":%b' % (
        request,
        plan.caller,
        origin,
        plan.made,
        request_id.encode(),
        tail,
    )


def origin_of(gateway_id: str, epoch: int) -> bytes:
    """Return gateway and epoch as members of a JSON object."""
    return _members(gateway_id=gateway_id, epoch=epoch)


def _members(**members: object) -> bytes:
    return encode(members)[1:-1]
