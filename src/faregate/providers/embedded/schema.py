"""The provider's tables. Instants are microseconds, exact numbers are numerals, amounts are minor units.

A price without a row in `price_scheme` is by packages, begun ones unless it is in `price_rounded_down`.
"""

from __future__ import annotations

from typing import Final

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS customer (
    id TEXT PRIMARY KEY,
    lookup_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS price (
    id TEXT PRIMARY KEY,
    lookup_key TEXT NOT NULL UNIQUE,
    product TEXT NOT NULL,
    nickname TEXT NOT NULL,
    currency TEXT NOT NULL,
    unit_amount_decimal TEXT NOT NULL,
    divide_by INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS price_scheme (
    price TEXT PRIMARY KEY,
    scheme TEXT NOT NULL CHECK (scheme IN ('per_unit', 'graduated', 'volume')),
    tiers TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS price_rounded_down (
    price TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS subscription (
    id TEXT PRIMARY KEY,
    lookup_key TEXT NOT NULL UNIQUE,
    customer TEXT NOT NULL,
    currency TEXT NOT NULL,
    billing_cycle_anchor INTEGER NOT NULL,
    payment_terms INTEGER NOT NULL,
    closed_until INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS subscription_item (
    subscription TEXT NOT NULL,
    price TEXT NOT NULL,
    PRIMARY KEY (subscription, price)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS meter_event (
    identifier TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    price TEXT NOT NULL,
    value TEXT NOT NULL,
    timestamp INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS meter_event_period ON meter_event (customer, price, timestamp);

CREATE TABLE IF NOT EXISTS credit_grant (
    created_order INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    lookup_key TEXT NOT NULL UNIQUE,
    subscription TEXT NOT NULL,
    currency TEXT NOT NULL,
    category TEXT NOT NULL CHECK (category IN ('paid', 'promotional')),
    value TEXT NOT NULL,
    remaining TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS credit_grant_subscription ON credit_grant (subscription);

CREATE TABLE IF NOT EXISTS invoice (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    number TEXT NOT NULL UNIQUE,
    subscription TEXT NOT NULL,
    customer TEXT NOT NULL,
    currency TEXT NOT NULL,
    period_start INTEGER NOT NULL,
    period_end INTEGER NOT NULL,
    subtotal INTEGER NOT NULL,
    total INTEGER NOT NULL,
    credit_applied INTEGER NOT NULL,
    amount_due INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('open', 'paid')),
    created INTEGER NOT NULL,
    due_date INTEGER NOT NULL,
    paid_at INTEGER,
    CHECK (total = credit_applied + amount_due),
    UNIQUE (subscription, period_start)
) STRICT;

CREATE TABLE IF NOT EXISTS invoice_line (
    invoice TEXT NOT NULL,
    position INTEGER NOT NULL,
    price TEXT NOT NULL,
    description TEXT NOT NULL,
    quantity TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (invoice, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS invoice_discount (
    invoice TEXT NOT NULL,
    position INTEGER NOT NULL,
    coupon TEXT NOT NULL,
    name TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (invoice, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS credit_applied (
    invoice TEXT NOT NULL,
    credit_grant TEXT NOT NULL,
    amount TEXT NOT NULL,
    PRIMARY KEY (invoice, credit_grant)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS payment_method (
    customer TEXT PRIMARY KEY,
    method TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS payment_intent (
    lookup_key TEXT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    customer TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    description TEXT NOT NULL,
    failure TEXT
) STRICT, WITHOUT ROWID;
"""

SET_INVOICES_ASIDE: Final = "ALTER TABLE invoice RENAME TO invoice_before_coupons;"
TAKE_INVOICES_OVER: Final = """
INSERT INTO invoice
    SELECT sequence, id, number, subscription, customer, currency, period_start, period_end, subtotal, subtotal,
        credit_applied, amount_due, status, created, due_date, paid_at
    FROM invoice_before_coupons;
DROP TABLE invoice_before_coupons;
"""
"""For a file whose invoices have no total beside their subtotal: it had no coupons, so that the two are one."""
