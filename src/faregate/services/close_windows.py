"""Close usage windows: tell the billing provider what they hold, as raw units, once, and later only the difference."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from faregate.base.limits import WINDOW_CLOSE_GRACE, WINDOWS_PER_TRANSACTION
from faregate.base.money import EXACT
from faregate.domain.billing.provider_usage import report_key
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.versions import PriceList
from faregate.domain.metering.aggregate import distinct_of
from faregate.services.provider_messages import USAGE, UsageMessage, encode_message
from faregate.services.provider_prices import is_rated_by_provider
from faregate.storage.closing import OpenPeriod, UnreportedWindow, mark_reported, open_periods, unreported_windows
from faregate.storage.database import Transaction
from faregate.storage.metered import read_all_prices
from faregate.storage.outbox import add_to_outbox


def close_windows(transaction: Transaction, *, application_id: str, now: datetime) -> int:
    """Close windows that ended `WINDOW_CLOSE_GRACE` before the business time `now`; return how many, 0 if none is left.

    At most `WINDOWS_PER_TRANSACTION` at a time. What a period's end still finds open is closed with the period.
    """
    windows = unreported_windows(
        transaction, application_id, ended_by=now - WINDOW_CLOSE_GRACE, limit=WINDOWS_PER_TRANSACTION
    )
    report_windows(transaction, windows, now=now)
    return len(windows)


def report_windows(transaction: Transaction, windows: Sequence[UnreportedWindow], *, now: datetime) -> None:
    """Write a usage message for every window that differs from what was reported of it; keep it as reported.

    A window of a company without a subscription is nobody's to bill, one of a price that the provider cannot rate is
    told as a line at the period's end, and one of a period that is invoiced as a line of an adjustment: they only stop
    being looked at.
    """
    if not windows:
        return
    periods = open_periods(transaction, {window.key.subscription_id for window in windows})
    prices = read_all_prices(transaction)
    for window in windows:
        period = periods.get(window.key.subscription_id)
        price = None if period is None else price_of_window(prices, window, period)
        if (
            period is not None
            and window.period_start >= period.billed_until
            and price is not None
            and is_rated_by_provider(price)
            and window.quantity != window.reported_quantity
        ):
            add_to_outbox(
                transaction,
                application_id=window.key.application_id,
                kind=USAGE,
                key=usage_key(window),
                subscription_id=window.key.subscription_id,
                payload=encode_message(usage := _usage(window, price)),
                usage_at=usage.timestamp,
                now=now,
            )
    mark_reported(transaction, windows)


def usage_key(window: UnreportedWindow) -> str:
    """Return what makes a report one report: meter, customer, window and group, with a revision after the first."""
    of = window.key
    group = f":{distinct_of(of.group_key)}" if of.group_key else ""
    named = f"{of.meter_id}:{of.company_id}:{of.start_at:%Y-%m-%dT%H:%M:%S.%fZ}{group}"
    return report_key(named, revision=window.reported_revision)


def price_of_window(prices: PriceList, window: UnreportedWindow, open_period: OpenPeriod) -> Price | None:
    """Return the price that a window's usage is charged by: the same rule by which events are."""
    series = prices.series_of(window.price_id)
    period = open_period.subscription.period_at(window.period_start)
    if series is None or period is None:
        return None
    return open_period.subscription.price_of(series, at=window.key.start_at, period=period)


def _usage(window: UnreportedWindow, price: Price) -> UsageMessage:
    return UsageMessage(
        subscription_id=window.key.subscription_id,
        company_id=window.key.company_id,
        price_id=price.price_id,
        value=EXACT.subtract(window.quantity, window.reported_quantity),
        # Usage from before the subscription began is billed in its first period.
        timestamp=max(window.key.start_at, window.period_start),
        period_start=window.period_start,
    )
