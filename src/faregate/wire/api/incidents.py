"""Incident credits on the wire."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec import UNSET, Struct, UnsetType, field

from faregate.wire.api.common import DecimalText, Identifier, Instant, Name
from faregate.wire.api.filters import FilterShape, FilterText


class IncidentCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Calls with from <= time < to that match, of whose charges `percent` is to be given back.

    `id` is yours: under an id that there is, the same credit is answered, and another one refused.
    """

    id: Identifier
    filter: FilterShape | UnsetType = UNSET
    filter_text: FilterText | UnsetType = UNSET
    from_at: Instant = field(name="from")
    to_at: Instant = field(name="to")
    percent: Decimal = Decimal(100)
    reason: Name


class IncidentTotalView(Struct, frozen=True, kw_only=True):
    """What an incident gives back in a currency."""

    currency: str
    customers: int
    charged: DecimalText
    credit: DecimalText


class IncidentView(Struct, frozen=True, kw_only=True):
    """An incident credit: `drafting`, `draft`, `applied` or `undone`. `matched` calls were found, charged or not."""

    id: str
    status: str
    filter_text: str
    from_at: datetime = field(name="from")
    to_at: datetime = field(name="to")
    percent: DecimalText
    reason: str
    matched: int
    totals: list[IncidentTotalView]
    created_at: datetime
    applied_at: datetime | None
    undone_at: datetime | None


class IncidentLineView(Struct, frozen=True, kw_only=True):
    """What a customer gets back of one price and period: the `credit` of what was `charged` for so many calls.

    `already_credited` charges belong to other incidents and are in no other figure. `credit` is less than the
    percentage where the period was not debited so much, all in all.
    """

    company_id: str
    subscription_id: str
    price_id: str
    period_start: datetime
    calls: int
    quantity: DecimalText
    charged: DecimalText
    credit: DecimalText
    currency: str
    already_credited: int
    entry_id: int | None
    undo_entry_id: int | None


class IncidentCallView(Struct, frozen=True, kw_only=True):
    """One charge that an incident covers."""

    event_id: str
    company_id: str
    subscription_id: str
    price_id: str
    meter_id: str
    occurred_at: datetime
    quantity: DecimalText
    charged: DecimalText
