"""Reports of usage to the billing provider on the wire."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from faregate.wire.api.common import DecimalText, Instant


class UsageReportStatus(StrEnum):
    """`waiting`: to be sent, or to be tried again; `refused`: the provider said no; `lost`: it dropped it afterwards.

    `too_old`: no provider takes it any more; `fraction`: the provider counts whole units only. The period's invoice
    bills those as items.
    """

    WAITING = "waiting"
    SENT = "sent"
    REFUSED = "refused"
    LOST = "lost"
    TOO_OLD = "too_old"
    FRACTION = "fraction"


class UsageReportView(Struct, frozen=True, kw_only=True):
    """Raw units of a usage window, or the difference to what was reported of it, as the provider is told.

    `identifier`: what it goes under at the provider; `usage_at`: the instant that it counts at; `attempts`: how often
    sending failed; `resends`: how often it was sent anew after it had failed for good.
    """

    report_id: str
    identifier: str
    status: UsageReportStatus
    subscription_id: str
    company_id: str
    price_id: str
    value: DecimalText
    usage_at: Instant
    period_start: Instant
    created_at: Instant
    sent_at: Instant | None
    failed_at: Instant | None
    retry_at: Instant | None
    attempts: int
    resends: int
    last_error: str | None


class UsageReportsResent(Struct, frozen=True, kw_only=True):
    """How many reports are sent again."""

    resent: int
