"""Meter events and credit grants: what a period is billed from, and what pays for it."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from decimal import Decimal
from typing import Final

from faregate.base.clock import from_microseconds, to_microseconds
from faregate.base.errors import Conflict, InvalidInput
from faregate.base.ids import IdSource
from faregate.base.money import EXACT
from faregate.domain.billing.provider import MeterEvent, ProviderGrant
from faregate.domain.billing.provider_usage import UsageSummary
from faregate.providers.embedded.catalog import find_id, read_subscription

_DAY_US: Final = 86_400_000_000


def take_meter_event(connection: sqlite3.Connection, usage: MeterEvent) -> None:
    """Keep a meter event, once an identifier. `Conflict` on one whose period is finalized: its invoice misses it."""
    if connection.execute("SELECT 1 FROM meter_event WHERE identifier = ?", (usage.identifier,)).fetchone():
        return
    if not usage.value.is_finite():
        raise InvalidInput.of("value", "must be a number")
    customer = find_id(connection, "customer", usage.customer)
    price = find_id(connection, "price", usage.price)
    timestamp = to_microseconds(usage.timestamp)
    closed = connection.execute(
        "SELECT 1 FROM subscription JOIN subscription_item ON subscription_item.subscription = subscription.id"
        " WHERE subscription.customer = ? AND subscription_item.price = ? AND subscription.closed_until > ?",
        (customer, price, timestamp),
    ).fetchone()
    if closed:
        raise Conflict("timestamp", f"{usage.timestamp.isoformat()} is in a period whose invoice is finalized")
    connection.execute(
        "INSERT INTO meter_event (identifier, customer, price, value, timestamp) VALUES (?, ?, ?, ?, ?)",
        (usage.identifier, customer, price, f"{usage.value:f}", timestamp),
    )


def usage_summaries(
    connection: sqlite3.Connection, *, customer: str, price: str, start: datetime, end: datetime
) -> list[UsageSummary]:
    """Return what was counted in [start, end): day by day where both are days' borders in UTC, else as one."""
    first, last = to_microseconds(start), to_microseconds(end)
    step = last - first if first % _DAY_US or last % _DAY_US else _DAY_US
    rows = connection.execute(
        "SELECT meter_event.value, meter_event.timestamp FROM meter_event"
        " JOIN customer ON customer.id = meter_event.customer JOIN price ON price.id = meter_event.price"
        " WHERE customer.lookup_key = ? AND price.lookup_key = ? AND timestamp >= ? AND timestamp < ?",
        (customer, price, first, last),
    )
    sums: dict[int, Decimal] = {}
    for row in rows:
        begin = first + (row["timestamp"] - first) // step * step
        sums[begin] = EXACT.add(sums.get(begin, Decimal(0)), Decimal(row["value"]))
    return [
        UsageSummary(start=from_microseconds(begin), end=from_microseconds(begin + step), quantity=sums[begin])
        for begin in sorted(sums)
    ]


def take_credit_grant(connection: sqlite3.Connection, grant: ProviderGrant, new_id: IdSource) -> None:
    """Keep a credit grant, once per lookup key. `Conflict` on one in another currency than its subscription's."""
    subscription = read_subscription(connection, grant.subscription)
    currency = grant.currency.lower()
    if currency != subscription.currency:
        raise Conflict("currency", f"the subscription is in {subscription.currency}, the grant in {currency}")
    value = f"{grant.value:f}"
    connection.execute(
        "INSERT INTO credit_grant (id, lookup_key, subscription, currency, category, value, remaining)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lookup_key) DO NOTHING",
        (new_id("credgr"), grant.lookup_key, subscription.id, currency, grant.category, value, value),
    )
