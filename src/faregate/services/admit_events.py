"""From logged bytes to events that count: decoded, seen for the first time, dated sensibly, and with their company."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from faregate.base.errors import InvalidInput
from faregate.base.limits import EVENT_AHEAD_TOLERANCE, MAX_DETAIL_CHARACTERS, MAX_EVENT_BYTES, PROVIDER_HORIZON
from faregate.domain.metering.event import Event
from faregate.storage.database import Transaction
from faregate.storage.events import (
    Admitted,
    LoggedEvent,
    SeenIdentity,
    SetAside,
    add_admitted,
    add_set_aside,
    remember_identities,
)
from faregate.storage.metered import companies_of_users
from faregate.wire.event import WireEvent, content_hash, decode_event, identity, raw_hash, sent_facts, to_event
from faregate.wire.gateway_protocol import GatewayFacts


class AdmittedEvent(NamedTuple):
    """An event that has effects, at its position in the log."""

    position: int
    event: Event
    facts: GatewayFacts | None


@dataclass(slots=True, kw_only=True)
class Admission:
    """What became of a batch.

    `facts` holds our gateways' facts of every event, admitted or not: their sequences count. `uncounted`: those of
    events that have no effects, and are no repeats; what such a call drew of its leases is used up all the same.
    """

    admitted: list[AdmittedEvent] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)
    facts: list[GatewayFacts] = field(default_factory=list)
    uncounted: list[GatewayFacts] = field(default_factory=list)

    def put_aside(self, row: LoggedEvent, reason: str, detail: str, *, facts: GatewayFacts | None) -> None:
        """Keep an event out of metering, and visible."""
        if facts is not None:
            self.uncounted.append(facts)
        self.set_aside.append(
            SetAside(
                position=row.position,
                application_id=row.application_id,
                reason=reason,
                detail=detail[:MAX_DETAIL_CHARACTERS],
            )
        )


class _Decoded(NamedTuple):
    row: LoggedEvent
    wire: WireEvent
    seen: SeenIdentity


def admit_events(
    transaction: Transaction, application_id: str, logged: Sequence[LoggedEvent], *, now: datetime
) -> Admission:
    """Decide which events of a batch count. A repeat is dropped; what cannot count is set aside and stays visible.

    Set aside, with `reason`: `malformed`; `conflict` (the identity is known with other content); `ahead` and `late`
    (dated more than five minutes after, or 35 days before, `now`, the application's business time; a replay keeps its
    own clock). The applier adds `unappliable`.
    """
    admission = Admission()
    decoded = _decode(logged, admission)
    fresh = _first_seen(transaction, application_id, decoded, admission=admission)
    unresolved = {entry.wire.user_id for entry in fresh if entry.wire.company_id is None and entry.wire.user_id}
    companies = companies_of_users(transaction, application_id, {user_id for user_id in unresolved if user_id})
    earliest, latest = now - PROVIDER_HORIZON, now + EVENT_AHEAD_TOLERANCE
    for entry in fresh:
        company_id = entry.wire.company_id or companies.get(entry.wire.user_id or "")
        event = to_event(entry.wire, company_id)
        if not earliest <= event.occurred_at <= latest and not _is_replay(entry.wire):
            reason = "ahead" if event.occurred_at > latest else "late"
            detail = f"dated {event.occurred_at.isoformat()}"
            admission.put_aside(entry.row, reason, detail, facts=entry.wire.faregate)
        else:
            admission.admitted.append(AdmittedEvent(entry.row.position, event, entry.wire.faregate))
    add_admitted(
        transaction,
        application_id,
        [Admitted(position, event.company_id, event.occurred_at) for position, event, _ in admission.admitted],
    )
    add_set_aside(transaction, admission.set_aside)
    return admission


def _decode(logged: Sequence[LoggedEvent], admission: Admission) -> list[_Decoded]:
    decoded = []
    for row in logged:
        if len(row.body) > MAX_EVENT_BYTES:
            admission.put_aside(row, "malformed", f"larger than {MAX_EVENT_BYTES} bytes", facts=None)
            continue
        try:
            wire = decode_event(row.body)
            # A gateway's event comes again byte for byte, from its spool; others may be encoded anew.
            body_hash = content_hash(row.body) if wire.faregate is None else raw_hash(row.body)
        except InvalidInput as error:
            facts = sent_facts(row.body)
            admission.put_aside(row, "malformed", error.message, facts=facts)
            if facts is not None:
                admission.facts.append(facts)
            continue
        if wire.faregate is not None:
            admission.facts.append(wire.faregate)
        seen = SeenIdentity(identity(wire, body_hash), body_hash, row.position)
        decoded.append(_Decoded(row, wire, seen))
    return decoded


def _first_seen(
    transaction: Transaction, application_id: str, decoded: list[_Decoded], *, admission: Admission
) -> list[_Decoded]:
    standing = remember_identities(transaction, application_id, [entry.seen for entry in decoded])
    if not standing:
        return decoded
    fresh = []
    for entry in decoded:
        earlier = standing[entry.seen.identity]
        if earlier.position == entry.seen.position:
            fresh.append(entry)
        elif earlier.content_hash != entry.seen.content_hash:
            detail = f"the same call stands at position {earlier.position} with other content"
            admission.put_aside(entry.row, "conflict", detail, facts=entry.wire.faregate)
    return fresh


def _is_replay(wire: WireEvent) -> bool:
    return wire.faregate is not None and wire.faregate.replay
