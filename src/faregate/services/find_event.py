"""Find one event of the log, by the id that it has here or by the request id that its caller was told."""

from __future__ import annotations

import re
from typing import Final

from faregate.base.errors import InvalidInput, NotFound
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.storage.adjustments import Adjustment
from faregate.storage.database import Transaction
from faregate.storage.events import IngestedEvent, find_identities, read_logged_event
from faregate.wire.event import WireEvent, call_identity, decode_event

_EVENT_ID: Final = re.compile(r"evt_([1-9][0-9]{0,17})")
_OF_EVENTS: Final = (AdjustmentSource.LATE_EVENT, AdjustmentSource.CORRECTION)
_EVENTS: Final = re.compile(r".*:([0-9]{1,18})-([0-9]{1,18})", re.DOTALL)
_MOST_ATTEMPTS: Final = 8
"""Attempts of one call that are looked for."""


def event_id_of(position: int) -> str:
    """Return the id of the event at a position of the log: `evt_1204`."""
    return f"evt_{position}"


def find_event(transaction: Transaction, application_id: str, event_id: str) -> IngestedEvent:
    """Return an event by its id (`evt_1204`), or by the `x-request-id` of a call that went through the gateway.

    `NotFound` where the application has none: a call is found by its request id once it is applied, an event by its own
    id from the moment it is accepted.
    """
    named = _EVENT_ID.fullmatch(event_id)
    position = _last_attempt(transaction, application_id, event_id) if named is None else int(named[1])
    logged = None if position is None else read_logged_event(transaction, position)
    if logged is None or logged.position != position or logged.application_id != application_id:
        raise NotFound("event", event_id)
    return logged


def late_events(adjustment: Adjustment) -> tuple[int, int] | None:
    """Return between which positions of the log an adjustment's events stand; None where it is not of new events."""
    found = _EVENTS.fullmatch(adjustment.source_id) if adjustment.source in _OF_EVENTS else None
    return None if found is None else (int(found[1]), int(found[2]))


def readable_event(logged: IngestedEvent) -> WireEvent | None:
    """Return the event, or None for one that was set aside because it cannot be read."""
    try:
        return decode_event(logged.body)
    except InvalidInput:
        return None


def positions_of_call(transaction: Transaction, application_id: str, request_id: str) -> list[int]:
    """Return where the attempts of a call that went through the gateway stand in the log, those that are applied."""
    identities = [call_identity(request_id, attempt) for attempt in range(_MOST_ATTEMPTS)]
    seen = find_identities(transaction, application_id, identities)
    return sorted(found.position for found in seen.values())


def _last_attempt(transaction: Transaction, application_id: str, request_id: str) -> int | None:
    return next(reversed(positions_of_call(transaction, application_id, request_id)), None)
