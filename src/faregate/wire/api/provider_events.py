"""Events of the billing provider on the wire."""

from __future__ import annotations

from msgspec import Struct

from faregate.domain.billing.provider_events import EventSource, EventStatus
from faregate.wire.api.common import Instant


class ProviderEventView(Struct, frozen=True, kw_only=True):
    """Something that the billing provider told of. `created_at` is its time, the others are the wall clock's.

    `source`: `webhook` or `poll`, whichever brought it first. `status`: `waiting`, `done`, or `failed` after too many
    attempts. `outcome`: what came of it; `last_error`: why it did not work the last time it failed.
    """

    event_id: str
    kind: str
    object_id: str
    created_at: Instant
    source: EventSource
    received_at: Instant
    status: EventStatus
    outcome: str
    attempts: int
    retry_at: Instant | None
    worked_at: Instant | None
    last_error: str | None
