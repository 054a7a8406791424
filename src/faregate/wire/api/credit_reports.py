"""Credit in the past, credit that came to nothing, and the audit, on the wire: reading only."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from faregate.domain.ledger.burning import GrantKind
from faregate.wire.api.common import DecimalText, Instant


class GrantLeftView(Struct, frozen=True, kw_only=True):
    """What was left of a grant."""

    grant_id: str
    kind: GrantKind
    remaining: DecimalText


class PastBalanceView(Struct, frozen=True, kw_only=True):
    """A subscription's credit at a moment, by the entries posted up to it: usage counts from when it was metered.

    `balance` is what was left of the grants less `overage`, which no grant had paid; below zero, that is credit without
    a grant.
    """

    subscription_id: str
    currency: str
    at: Instant
    balance: DecimalText
    overage: DecimalText
    grants: list[GrantLeftView]


class BreakageView(Struct, frozen=True, kw_only=True):
    """Credit that came to nothing in a month of UTC, in one currency."""

    month: date
    currency: str
    expired_paid: DecimalText
    voided_paid: DecimalText
    expired_promotional: DecimalText
    voided_promotional: DecimalText


class BreakageReport(Struct, frozen=True, kw_only=True):
    """Credit that came to nothing, month by month; months and currencies without any are left out."""

    data: list[BreakageView]


class LiabilityView(Struct, frozen=True, kw_only=True):
    """Credit that was given and not used, in one currency."""

    currency: str
    paid: DecimalText
    promotional: DecimalText


class LiabilityReport(Struct, frozen=True, kw_only=True):
    """Credit that was given and not used at a moment, by the entries posted up to it."""

    at: Instant
    data: list[LiabilityView]


class AuditDifferenceView(Struct, frozen=True, kw_only=True):
    """A figure that is kept, and what the ledger makes it; amounts in ledger units.

    `of`: the grant, or the price and period, that it is about; empty where it is the account itself.
    """

    subscription_id: str
    figure: str
    of: str
    kept: str
    rebuilt: str


class AuditView(Struct, frozen=True, kw_only=True):
    """What differs in a part of the accounts. Ask again with `cursor` for the next part; null at the end."""

    accounts: int
    data: list[AuditDifferenceView]
    next_cursor: str | None
