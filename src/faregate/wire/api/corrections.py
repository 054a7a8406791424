"""Events in a list, and their cancellation and correction, on the wire."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Raw, Struct

from faregate.wire.api.common import Instant, Text


class CorrectionKind(StrEnum):
    """Whether an event counts no more, or another one stands for it."""

    CANCELLED = "cancelled"
    CORRECTED = "corrected"


class EventCancel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that must not count, and why."""

    reason: Text = ""


class EventCorrect(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of an event was wrong: a JSON merge patch (RFC 7396) of the event, in which null takes a field away.

    `{"response": {"body": {"usage": {"prompt_tokens": 12}}}}` changes one number and leaves all else.
    """

    event: Raw
    reason: Text = ""


class CorrectionView(Struct, frozen=True, kw_only=True):
    """A correction. `correction_id` is the Idempotency-Key that asked for it; null `applied_at`: not applied yet.

    `replacement_event_id`: the event that stands for a corrected one, at the time at which that happened.
    """

    correction_id: str
    kind: CorrectionKind
    event_id: str
    replacement_event_id: str | None
    reason: str
    created_at: Instant
    applied_at: Instant | None


class EventSummaryView(Struct, frozen=True, kw_only=True):
    """One event in a list. `counts` is false for one that was set aside, cancelled or corrected, or repeats another."""

    event_id: str
    position: int
    occurred_at: Instant | None
    company_id: str | None
    user_id: str | None
    request_id: str | None
    transaction_id: str | None
    route: str | None
    status: int | None
    counts: bool
