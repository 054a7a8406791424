"""Take what the billing provider tells of: checked, kept once by its id, worked on later."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from faregate.base.errors import NotFound
from faregate.domain.billing.provider_events import EventSource, ProviderEvent
from faregate.services.gateway_calls import main_application
from faregate.storage.database import Transaction
from faregate.storage.provider_events import (
    EventRow,
    find_event_row,
    keep_events,
    mark_event_waiting,
)
from faregate.wire.stripe_webhooks import decode_event, require_signed


def verified_event(body: bytes, signature: str, *, secrets: Collection[str], now: datetime) -> ProviderEvent:
    """Return the event of a webhook that one of the secrets has signed; `InvalidInput` for any other."""
    require_signed(body, signature, secrets=secrets, now=now)
    return decode_event(body)


def take_event(transaction: Transaction, event: ProviderEvent, *, received_at: datetime) -> bool:
    """Keep an event that came by a webhook; return whether it is new."""
    application_id = main_application(transaction)
    return keep_events(transaction, application_id, [event], source=EventSource.WEBHOOK, received_at=received_at) > 0


def find_event(transaction: Transaction, application_id: str, event_id: str) -> EventRow:
    """Return a kept event; `NotFound` where there is none of that id."""
    row = find_event_row(transaction, application_id, event_id)
    if row is None:
        raise NotFound("provider event", event_id)
    return row


def replay_event(transaction: Transaction, application_id: str, event_id: str) -> EventRow:
    """Have an event worked on again: its object is read again, and what is done already stays done."""
    find_event(transaction, application_id, event_id)
    mark_event_waiting(transaction, event_id)
    return find_event(transaction, application_id, event_id)
