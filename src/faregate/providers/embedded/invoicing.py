"""Finalizing a period: lines from the meter events received, credit applied, a number without a gap."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from fractions import Fraction
from math import floor
from typing import assert_never

from faregate.base.clock import to_microseconds
from faregate.base.errors import Conflict, NotFound
from faregate.base.ids import IdSource
from faregate.base.periods import Period
from faregate.domain.billing.provider import ProviderCoupon, ProviderScheme, RatedLine
from faregate.providers.arithmetic import (
    graduated_line,
    numeral,
    package_line,
    taken_off,
    unit_line,
    volume_line,
)
from faregate.providers.embedded.catalog import SubscriptionRow, read_scheme, read_steps


def finalize(
    connection: sqlite3.Connection,
    subscription: SubscriptionRow,
    period: Period,
    *,
    issued_at: datetime,
    rated: tuple[RatedLine, ...],
    coupons: tuple[ProviderCoupon, ...],
    new_id: IdSource,
) -> str:
    """Issue the invoice of a period; return its id. A period that was finalized before gives the invoice of then.

    `Conflict` on a period that begins before the last finalized one ends.
    """
    start, end = to_microseconds(period.start), to_microseconds(period.end)
    standing = connection.execute(
        "SELECT id FROM invoice WHERE subscription = ? AND period_start = ? AND period_end = ?",
        (subscription.id, start, end),
    ).fetchone()
    if standing:
        return str(standing["id"])
    if start < subscription.closed_until_us:
        raise Conflict("period", f"the period from {period.start.isoformat()} overlaps one that is finalized")
    invoice_id = new_id("in")
    subtotal = _write_lines(connection, invoice_id, subscription, start=start, end=end)
    subtotal += _write_rated(connection, invoice_id, rated)
    total = subtotal - _write_discounts(connection, invoice_id, coupons, subtotal=subtotal)
    applied = _apply_credit(connection, invoice_id, subscription.id, total=total)
    created = to_microseconds(issued_at)
    sequence = connection.execute("SELECT COALESCE(MAX(sequence), 0) + 1 FROM invoice").fetchone()[0]
    connection.execute(
        "INSERT INTO invoice (sequence, id, number, subscription, customer, currency, period_start, period_end,"
        " subtotal, total, credit_applied, amount_due, status, created, due_date, paid_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            sequence,
            invoice_id,
            f"INV-{sequence:06}",
            subscription.id,
            subscription.customer,
            subscription.currency,
            start,
            end,
            subtotal,
            total,
            applied,
            total - applied,
            "open" if total > applied else "paid",
            created,
            created + subscription.payment_terms_us,
            None if total > applied else created,
        ),
    )
    connection.execute("UPDATE subscription SET closed_until = ? WHERE id = ?", (end, subscription.id))
    return invoice_id


def mark_paid(connection: sqlite3.Connection, invoice_id: str, paid_at: datetime) -> None:
    """Record that what is due was paid; a paid invoice stays as it is. `NotFound` for an unknown one."""
    connection.execute(
        "UPDATE invoice SET status = 'paid', paid_at = ? WHERE id = ? AND status = 'open'",
        (to_microseconds(paid_at), invoice_id),
    )
    if not connection.execute("SELECT 1 FROM invoice WHERE id = ?", (invoice_id,)).fetchone():
        raise NotFound("invoice", invoice_id)


def _write_lines(
    connection: sqlite3.Connection, invoice_id: str, subscription: SubscriptionRow, *, start: int, end: int
) -> int:
    """Write a line for every price with usage in [start, end); return their sum in minor units."""
    prices = connection.execute(
        "SELECT price.* FROM price JOIN subscription_item ON subscription_item.price = price.id"
        " WHERE subscription_item.subscription = ? ORDER BY price.lookup_key",
        (subscription.id,),
    ).fetchall()
    subtotal = 0
    for position, price in enumerate(prices):
        rows = connection.execute(
            "SELECT value FROM meter_event WHERE customer = ? AND price = ? AND timestamp >= ? AND timestamp < ?",
            (subscription.customer, price["id"], start, end),
        )
        quantity, amount = _line(connection, price, [row["value"] for row in rows])
        if not quantity:
            continue
        connection.execute(
            "INSERT INTO invoice_line (invoice, position, price, description, quantity, amount)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (invoice_id, position, price["lookup_key"], price["nickname"], numeral(quantity), amount),
        )
        subtotal += amount
    return subtotal


def _line(connection: sqlite3.Connection, price: sqlite3.Row, values: list[str]) -> tuple[Fraction, int]:
    scheme, tiers = read_scheme(connection, price["id"])
    match ProviderScheme(scheme):
        case ProviderScheme.PACKAGE | ProviderScheme.PACKAGE_DOWN as rounded:
            return package_line(
                values,
                unit_amount=price["unit_amount_decimal"],
                divide_by=price["divide_by"],
                is_rounded_up=rounded is ProviderScheme.PACKAGE,
            )
        case ProviderScheme.PER_UNIT:
            return unit_line(values, unit_amount=price["unit_amount_decimal"])
        case ProviderScheme.GRADUATED:
            return graduated_line(values, read_steps(tiers))
        case ProviderScheme.VOLUME:
            return volume_line(values, read_steps(tiers))
        case other:
            assert_never(other)


def _write_rated(connection: sqlite3.Connection, invoice_id: str, rated: tuple[RatedLine, ...]) -> int:
    """Write lines that came with their amounts, behind the others; return their sum in minor units."""
    query = "SELECT COALESCE(MAX(position), -1) + 1 FROM invoice_line WHERE invoice = ?"
    first = connection.execute(query, (invoice_id,)).fetchone()[0]
    connection.executemany(
        "INSERT INTO invoice_line (invoice, position, price, description, quantity, amount) VALUES (?, ?, ?, ?, ?, ?)",
        [
            (invoice_id, first + index, line.price, line.description, f"{line.quantity:f}", line.amount)
            for index, line in enumerate(rated)
        ],
    )
    return sum(line.amount for line in rated)


def _write_discounts(
    connection: sqlite3.Connection, invoice_id: str, coupons: tuple[ProviderCoupon, ...], *, subtotal: int
) -> int:
    """Write what each coupon takes off what the earlier ones left; return their sum in minor units."""
    left = subtotal
    for position, coupon in enumerate(coupons):
        percent = None if coupon.percent_off is None else f"{coupon.percent_off:f}"
        off = taken_off(left, percent_off=percent, amount_off=coupon.amount_off)
        connection.execute(
            "INSERT INTO invoice_discount (invoice, position, coupon, name, amount) VALUES (?, ?, ?, ?, ?)",
            (invoice_id, position, coupon.lookup_key, coupon.name, off),
        )
        left -= off
    return subtotal - left


def _apply_credit(connection: sqlite3.Connection, invoice_id: str, subscription: str, *, total: int) -> int:
    """Use up grants, promotional before paid, oldest first; return the whole minor units that they pay."""
    grants = connection.execute(
        "SELECT id, remaining FROM credit_grant WHERE subscription = ? AND remaining <> '0'"
        " ORDER BY category = 'paid', created_order",
        (subscription,),
    ).fetchall()
    remaining = {grant["id"]: Fraction(grant["remaining"]) for grant in grants}
    # What was taken back of a grant that invoices have used stands below zero.
    applied = min(total, max(0, floor(sum(remaining.values(), Fraction(0)))))
    wanted = Fraction(applied)
    for grant_id, left in remaining.items():
        used = min(max(left, Fraction(0)), wanted)
        if not used:
            continue
        wanted -= used
        connection.execute("UPDATE credit_grant SET remaining = ? WHERE id = ?", (numeral(left - used), grant_id))
        connection.execute(
            "INSERT INTO credit_applied (invoice, credit_grant, amount) VALUES (?, ?, ?)",
            (invoice_id, grant_id, numeral(used)),
        )
    return applied
