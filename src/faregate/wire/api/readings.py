"""Usage, charges, events, balances and ledger entries on the wire: reading only."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Raw, Struct

from faregate.wire.api.common import DecimalText, Instant
from faregate.wire.api.corrections import CorrectionView


class Granularity(StrEnum):
    """How usage is added up: as it is kept, or by hour, by day (UTC), or over the whole time asked for."""

    WINDOW = "window"
    HOUR = "hour"
    DAY = "day"
    TOTAL = "total"


class UsageView(Struct, frozen=True, kw_only=True):
    """What a company used of a meter in [start, end); `group`: the values of the fields that the meter groups by."""

    company_id: str
    meter_id: str
    start: Instant
    end: Instant
    quantity: DecimalText
    event_count: int
    group: list[str] = []


class ChargeView(Struct, frozen=True, kw_only=True):
    """What one event used of one meter, and by how much that raised the period's amount.

    `corrects`: the charge takes back what that event was charged.
    """

    position: int
    meter_id: str
    price_id: str
    company_id: str
    subscription_id: str
    occurred_at: Instant
    quantity: DecimalText
    amount: DecimalText
    currency: str
    corrects: str | None = None


class UnmeterableView(Struct, frozen=True, kw_only=True):
    """Events that matched a meter without giving it a quantity, and why."""

    meter_id: str
    reason: str
    event_count: int


class SetAsideView(Struct, frozen=True, kw_only=True):
    """An event that was kept and not metered, and why."""

    position: int
    ingested_at: Instant
    reason: str
    detail: str


class EventView(Struct, frozen=True, kw_only=True):
    """One call and all that came of it. `event` is the event as it was received; `position` its place in the log.

    `request_id`: what the gateway told the caller; null for an event of another source. An event that could not be read
    is set aside, and has nothing else; `event` is null where it is not even JSON. `corrected_by`: what takes the event
    back, with the charges that do so beside its own in `charges`; `corrects`: the event that this one stands for.
    """

    event_id: str
    request_id: str | None
    position: int
    occurred_at: Instant | None
    ingested_at: Instant
    company_id: str | None
    user_id: str | None
    key_id: str | None
    route: str | None
    status: int | None
    blocked_by: str | None
    estimated: bool
    charges: list[ChargeView]
    unmeterable: list[UnmeterableView]
    set_aside: SetAsideView | None
    corrects: str | None
    corrected_by: CorrectionView | None
    event: Raw


class PriceBalanceView(Struct, frozen=True, kw_only=True):
    """One price in the period that is open now.

    `quantity`: units used. `outstanding`: units in gateways' leases. `debited`: what the quantity has cost so far.
    `units_paid_ahead`: further units that cost nothing, since their package is paid.
    """

    price_id: str
    name: str
    period_start: Instant
    period_end: Instant
    quantity: DecimalText
    outstanding: int
    debited: DecimalText
    units_paid_ahead: DecimalText


class BalanceView(Struct, frozen=True, kw_only=True):
    """A subscription's credit: `available` is the balance less `reserved`, what units in gateways' leases can cost.

    `next_expiry_at`: when the first of its grants that have credit left expires; null where none of them does.
    """

    subscription_id: str
    currency: str
    balance: DecimalText
    reserved: DecimalText
    available: DecimalText
    exhausted: bool
    next_expiry_at: Instant | None
    prices: list[PriceBalanceView]


class GrantMovementView(Struct, frozen=True, kw_only=True):
    """What an entry added to a grant; below zero, what it took."""

    grant_id: str
    amount: DecimalText


class LedgerEntryView(Struct, frozen=True, kw_only=True):
    """An immutable movement of credit; a positive amount adds. `grants`: what it moved of which, in burn order."""

    entry_id: int
    kind: str
    amount: DecimalText
    currency: str
    price_id: str | None
    period_start: Instant | None
    quantity: DecimalText | None
    description: str
    occurred_at: Instant
    grants: list[GrantMovementView]
