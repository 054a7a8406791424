"""What a billing provider tells of itself: that something happened to an object, never to be trusted for what it says.

An event names its object; what became of the object is read from the provider when the event is worked on. So events
may come twice, late, and in any order: each leads to the same reading.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class EventSubject(StrEnum):
    """What kind of object an event makes us read again; `other`: what happened there is of no matter here."""

    INVOICE = "invoice"
    CUSTOMER = "customer"
    SUBSCRIPTION = "subscription"
    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    CHECKOUT = "checkout"
    CATALOG = "catalog"
    METER_ERRORS = "meter_errors"
    OTHER = "other"


class EventSource(StrEnum):
    """How an event came first."""

    WEBHOOK = "webhook"
    POLL = "poll"


class EventStatus(StrEnum):
    """`waiting` is worked on, or tried again at `retry_at`; `failed` is tried no more until somebody replays it."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderEvent:
    """Something that happened: `kind` in the provider's words, such as `invoice.paid`, to the object `object_id`.

    `object_id` is empty where the event names no object. `created_at` is the provider's time.
    """

    event_id: str
    kind: str
    object_id: str
    is_live: bool
    created_at: datetime


_BY_BEGINNING: Final = (
    # The first that fits counts: longer beginnings stand before shorter ones.
    ("invoice.", EventSubject.INVOICE),
    ("customer.subscription.", EventSubject.SUBSCRIPTION),
    ("charge.dispute.", EventSubject.DISPUTE),
    ("charge.refund.", EventSubject.REFUND),
    ("refund.", EventSubject.REFUND),
    ("charge.refunded", EventSubject.CHARGE),
    ("checkout.session.", EventSubject.CHECKOUT),
    ("product.", EventSubject.CATALOG),
    ("price.", EventSubject.CATALOG),
    ("billing.meter.", EventSubject.CATALOG),
    ("v1.billing.meter.error_report_triggered", EventSubject.METER_ERRORS),
    ("v1.billing.meter.no_meter_found", EventSubject.METER_ERRORS),
)
_OF_CUSTOMERS: Final = frozenset({"customer.created", "customer.updated", "customer.deleted"})
_WITHOUT_OBJECT: Final = frozenset({"invoice.upcoming"})


def subject_of(kind: str) -> EventSubject:
    """Return what an event of a kind is about.

    Source: https://docs.stripe.com/api/events/types
    """
    if kind in _OF_CUSTOMERS:
        return EventSubject.CUSTOMER
    if kind in _WITHOUT_OBJECT:
        return EventSubject.OTHER
    return next((subject for beginning, subject in _BY_BEGINNING if kind.startswith(beginning)), EventSubject.OTHER)
