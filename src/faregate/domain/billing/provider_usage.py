"""What a provider that counts in whole units and closes its books after 35 days can still be told."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Final

from faregate.base.limits import EVENT_AHEAD_TOLERANCE, MAX_REPORT_KEY_CHARACTERS, PROVIDER_HORIZON

_RESENT: Final = re.compile(r":s[1-9][0-9]*\Z")
_DIGEST_BYTES: Final = 24


class UsageFailure(StrEnum):
    """Why a report of usage is not sent any more by itself.

    `refused`: the provider said no; `lost`: it took it and dropped it afterwards; `too_old`: nobody takes it any more;
    `fraction`: the provider counts whole units only. The last two are billed by the period's invoice as an item.
    """

    REFUSED = "refused"
    LOST = "lost"
    TOO_OLD = "too_old"
    FRACTION = "fraction"

    @property
    def is_billed_as_item(self) -> bool:
        """Return whether the period's invoice bills it."""
        return self in {UsageFailure.TOO_OLD, UsageFailure.FRACTION}


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterError:
    """A report that the provider took and lost: by the identifier that it was sent under, and why."""

    identifier: str
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSummary:
    """What a provider counted of a customer's usage of a price in [start, end)."""

    start: datetime
    end: datetime
    quantity: Decimal


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


def report_key(window: str, *, revision: int) -> str:
    """Return the key of a window's report: the window's name, or its digest where that is long, and the revision.

    It leaves room for what `report_identifier` adds: a provider takes 100 characters.
    """
    suffix = f":r{revision}" if revision else ""
    if len(window) + len(suffix) > MAX_REPORT_KEY_CHARACTERS:
        window = "#" + hashlib.blake2b(window.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return window + suffix


def report_identifier(key: str, *, resends: int) -> str:
    """Return what a report is sent under. One that failed is sent again under a new one: the old one is used up."""
    return f"{key}:s{resends}" if resends else key


def key_of_identifier(identifier: str) -> str:
    """Return the key that `report_identifier` was given."""
    return _RESENT.sub("", identifier)
