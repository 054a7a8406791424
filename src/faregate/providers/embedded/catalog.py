"""Customers, prices and subscriptions as the provider keeps them: made once per lookup key."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from fractions import Fraction

from faregate.base.clock import to_microseconds
from faregate.base.errors import Conflict, NotFound
from faregate.base.ids import IdSource
from faregate.domain.billing.provider import ProviderPrice, ProviderScheme, ProviderSubscription, ProviderTier
from faregate.providers.arithmetic import PriceStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """A subscription by its provider id; `payment_terms_us` and `closed_until_us` in microseconds."""

    id: str
    lookup_key: str
    customer: str
    currency: str
    payment_terms_us: int
    closed_until_us: int


def is_known(connection: sqlite3.Connection, wanted: ProviderSubscription) -> bool:
    """Return whether the subscription stands and has all its prices, so that nothing need be written."""
    items = {
        row["lookup_key"]
        for row in connection.execute(
            "SELECT price.lookup_key FROM subscription"
            " JOIN subscription_item ON subscription_item.subscription = subscription.id"
            " JOIN price ON price.id = subscription_item.price WHERE subscription.lookup_key = ?",
            (wanted.lookup_key,),
        )
    }
    return bool(items) and items.issuperset(price.lookup_key for price in wanted.prices)


def ensure_customer(connection: sqlite3.Connection, lookup_key: str, *, name: str, new_id: IdSource) -> str:
    """Return the customer's id, made now if need be."""
    connection.execute(
        "INSERT INTO customer (id, lookup_key, name) VALUES (?, ?, ?) ON CONFLICT (lookup_key) DO NOTHING",
        (new_id("cus"), lookup_key, name),
    )
    return find_id(connection, "customer", lookup_key)


def ensure_price(connection: sqlite3.Connection, wanted: ProviderPrice, new_id: IdSource) -> str:
    """Return the price's id, made now if need be.

    `Conflict` where it stands with other terms: a price cannot be changed.
    """
    terms = (wanted.currency.lower(), f"{wanted.unit_amount:f}", wanted.divide_by)
    scheme = (wanted.scheme.value, _tiers_text(wanted.tiers))
    connection.execute(
        "INSERT INTO price (id, lookup_key, product, nickname, currency, unit_amount_decimal, divide_by)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lookup_key) DO NOTHING",
        (new_id("price"), wanted.lookup_key, wanted.product, wanted.nickname, *terms),
    )
    row = connection.execute("SELECT * FROM price WHERE lookup_key = ?", (wanted.lookup_key,)).fetchone()
    if wanted.scheme is ProviderScheme.PACKAGE_DOWN:
        connection.execute("INSERT INTO price_rounded_down (price) VALUES (?) ON CONFLICT DO NOTHING", (row["id"],))
    elif wanted.scheme is not ProviderScheme.PACKAGE:
        connection.execute(
            "INSERT INTO price_scheme (price, scheme, tiers) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (row["id"], *scheme),
        )
    standing = (row["currency"], row["unit_amount_decimal"], row["divide_by"])
    if standing != terms or read_scheme(connection, row["id"]) != scheme:
        raise Conflict(
            "price", f"{wanted.lookup_key} stands at the provider with other terms; a price cannot be changed"
        )
    return str(row["id"])


def read_scheme(connection: sqlite3.Connection, price: str) -> tuple[str, str]:
    """Return how a price is rated, and its tiers as text."""
    row = connection.execute("SELECT scheme, tiers FROM price_scheme WHERE price = ?", (price,)).fetchone()
    if row is not None:
        return row["scheme"], row["tiers"]
    down = connection.execute("SELECT 1 FROM price_rounded_down WHERE price = ?", (price,)).fetchone()
    return (ProviderScheme.PACKAGE if down is None else ProviderScheme.PACKAGE_DOWN).value, _NO_TIERS


def read_steps(tiers: str) -> list[PriceStep]:
    """Return the tiers that `ensure_price` wrote."""
    return [
        PriceStep(None if up_to is None else Fraction(up_to), Fraction(unit), Fraction(flat))
        for up_to, unit, flat in json.loads(tiers)
    ]


def _tiers_text(tiers: tuple[ProviderTier, ...]) -> str:
    return json.dumps(
        [
            [None if tier.up_to is None else f"{tier.up_to:f}", f"{tier.unit_amount:f}", f"{tier.flat_amount:f}"]
            for tier in tiers
        ]
    )


_NO_TIERS = _tiers_text(())


def ensure_subscription(
    connection: sqlite3.Connection, wanted: ProviderSubscription, *, customer: str, new_id: IdSource
) -> str:
    """Return the subscription's id, made now if need be."""
    anchor = to_microseconds(wanted.billing_cycle_anchor)
    connection.execute(
        "INSERT INTO subscription"
        " (id, lookup_key, customer, currency, billing_cycle_anchor, payment_terms, closed_until)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lookup_key) DO NOTHING",
        (
            new_id("sub"),
            wanted.lookup_key,
            customer,
            wanted.currency.lower(),
            anchor,
            int(wanted.payment_terms.total_seconds()) * 1_000_000,
            anchor,
        ),
    )
    return find_id(connection, "subscription", wanted.lookup_key)


def add_item(connection: sqlite3.Connection, subscription: str, price: str) -> None:
    """Put a price on a subscription; a second time changes nothing."""
    connection.execute(
        "INSERT INTO subscription_item (subscription, price) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (subscription, price),
    )


def read_subscription(connection: sqlite3.Connection, lookup_key: str) -> SubscriptionRow:
    """Return a subscription; `NotFound` if the provider was never told of it."""
    row = connection.execute("SELECT * FROM subscription WHERE lookup_key = ?", (lookup_key,)).fetchone()
    if row is None:
        raise NotFound("subscription", lookup_key)
    return SubscriptionRow(
        id=row["id"],
        lookup_key=row["lookup_key"],
        customer=row["customer"],
        currency=row["currency"],
        payment_terms_us=row["payment_terms"],
        closed_until_us=row["closed_until"],
    )


def find_id(connection: sqlite3.Connection, kind: str, lookup_key: str) -> str:
    """Return the id of a customer, price or subscription; `NotFound` if there is none under that key."""
    row = connection.execute(_FIND[kind], (lookup_key,)).fetchone()
    if row is None:
        raise NotFound(kind, lookup_key)
    return str(row["id"])


_FIND = {
    "customer": "SELECT id FROM customer WHERE lookup_key = ?",
    "price": "SELECT id FROM price WHERE lookup_key = ?",
    "subscription": "SELECT id FROM subscription WHERE lookup_key = ?",
}
