"""What a provider that counts in whole units and closes its books after 35 days can still be told."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_FLOOR, Decimal

from faregate.base.limits import EVENT_AHEAD_TOLERANCE, PROVIDER_HORIZON


def is_reportable(occurred_at: datetime, now: datetime) -> bool:
    """Return whether usage of an instant can be reported: at most 35 days old and 5 minutes ahead.

    Source: https://docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api
    """
    return now - PROVIDER_HORIZON <= occurred_at <= now + EVENT_AHEAD_TOLERANCE


def whole_units_to_report(total: Decimal, reported: int) -> int:
    """Return the whole units to report next, where a provider takes no fractions.

    The fraction is not dropped: it stays in the total, and is reported with the usage that completes its unit.
    """
    return int(total.to_integral_value(rounding=ROUND_FLOOR)) - reported
