"""Reconciliations on the wire: what the ledger, the reports and the billing provider say of usage."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from faregate.wire.api.common import DecimalText, Instant


class DifferenceKind(StrEnum):
    """`not_reported`: the ledger's usage and its reports differ; `not_sent`: the provider lacks reports.

    `provider`: it counted something else than it was sent.
    """

    NOT_REPORTED = "not_reported"
    NOT_SENT = "not_sent"
    PROVIDER = "provider"


class DifferenceView(Struct, frozen=True, kw_only=True):
    """Usage of a company and price at an instant, as three books have it; `provider` is null where it was not asked.

    `at` is where windows begin; a day's beginning for what the provider counted on that day at no window of ours.
    `reports`, `windows` (a meter and its window's start) and `events` name what it is about, the first of them.
    """

    kind: DifferenceKind
    company_id: str
    price_id: str
    at: Instant
    ledger: DecimalText
    reported: DecimalText
    sent: DecimalText
    provider: DecimalText | None
    reports: list[str]
    windows: list[str]
    events: list[str]


class ReconciliationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which time to look at; the 35 days before the last full hour but one where it is left out."""

    from_at: datetime | None = None
    to_at: datetime | None = None


class ReconciliationView(Struct, frozen=True, kw_only=True):
    """A comparison of [from_at, to_at): how many customers and windows it was about, and what differed.

    `adjusted_windows` changed after their period's invoice: the next one bills that, and no report tells of it.
    `more_differences` are not listed.
    """

    reconciliation_id: str
    from_at: Instant
    to_at: Instant
    checked_at: Instant
    customers: int
    windows: int
    reports: int
    adjusted_windows: int
    differences: list[DifferenceView]
    more_differences: int
