"""Grants of credit on the wire."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.periods import Alignment, CadenceUnit
from faregate.domain.ledger.burning import GrantKind
from faregate.wire.api.common import DecimalText, Identifier, Instant, Name, Text
from faregate.wire.api.customers import TimeZone

Reason = Name
"""Why, for those who read the ledger."""

Priority = Annotated[int, Meta(ge=0, le=1_000_000)]


class GrantStatus(StrEnum):
    """How far a grant is.

    `scheduled`: it has not begun. `used_up`: nothing is left of it now; what is given back may come to it. `expired`,
    `voided`: it has ended; what is `remaining` all the same belongs to calls that still run.
    """

    SCHEDULED = "scheduled"
    ACTIVE = "active"
    USED_UP = "used_up"
    EXPIRED = "expired"
    VOIDED = "voided"


class RecurrenceCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a grant recurs: with the subscription's own billing periods, or (`unit`) with others.

    Those begin at `anchor`, or where the grant does, or (`calendar`) with the calendar's days, weeks and months.
    """

    unit: CadenceUnit | UnsetType = UNSET
    count: Annotated[int, Meta(ge=1, le=1_000)] = 1
    anchor: Instant | UnsetType = UNSET
    time_zone: TimeZone = "UTC"
    alignment: Alignment = Alignment.ANNIVERSARY


class RecurrenceView(Struct, frozen=True, kw_only=True):
    """When a grant recurs: every `count` units from `anchor` on."""

    unit: CadenceUnit
    count: int
    anchor: Instant
    time_zone: str
    alignment: Alignment


class GrantCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit to give, in major units of the subscription's currency: paid, from now on, for ever, unless you say else.

    A lower `priority` burns first. With `recurs` it is at `amount` again at the start of each period, and keeps of what
    was left `rolls_over` at most.
    """

    amount: Decimal
    kind: GrantKind = GrantKind.PAID
    description: Text = ""
    priority: Priority = 0
    effective_at: Instant | UnsetType = UNSET
    expires_at: Instant | UnsetType = UNSET
    recurs: RecurrenceCreate | UnsetType = UNSET
    rolls_over: Decimal = Decimal(0)


class GrantView(Struct, frozen=True, kw_only=True):
    """Credit given to a subscription. `remaining` is left of it; `burnt` is what usage took, less what came back."""

    grant_id: str
    subscription_id: str
    amount: DecimalText
    currency: str
    kind: GrantKind
    description: str
    created_at: Instant
    status: GrantStatus
    remaining: DecimalText
    burnt: DecimalText
    priority: int
    effective_at: Instant
    expires_at: Instant | None
    voided_at: Instant | None
    recurs: RecurrenceView | None
    rolls_over: DecimalText


class GrantVoid(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a grant is to end."""

    reason: Reason


class GrantRefund(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a paid grant is refunded: all that is neither used nor reserved, if no `amount` is named."""

    reason: Reason
    amount: Decimal | UnsetType = UNSET


class GrantAdjust(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By how much a grant is corrected: above zero it gets more, below zero less."""

    amount: Decimal
    reason: Reason


class ShareCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subscription that gets a part of a company's grant. Equal weights are equal shares."""

    subscription_id: Identifier
    weight: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 1


class CompanyGrantCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit to give to a company, in all: each subscription gets its share, the last ledger unit included."""

    amount: Decimal
    shares: Annotated[list[ShareCreate], Meta(min_length=1, max_length=100)]
    kind: GrantKind = GrantKind.PAID
    description: Text = ""
    priority: Priority = 0
    effective_at: Instant | UnsetType = UNSET
    expires_at: Instant | UnsetType = UNSET


class CreditLimitSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far below zero a prepaid subscription may go, in major units; 0 takes it away."""

    overdraft: Decimal


class CreditLimitView(Struct, frozen=True, kw_only=True):
    """How far below zero a prepaid subscription may go."""

    subscription_id: str
    currency: str
    overdraft: DecimalText
