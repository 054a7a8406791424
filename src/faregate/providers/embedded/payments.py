"""Payments without the customer: the methods are Stripe's test methods, which succeed or fail by their name.

Source: docs.stripe.com/testing, "PaymentMethods" (`pm_card_chargeCustomerFail` can be attached; charges then fail).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

from faregate.base.errors import Conflict, InvalidInput
from faregate.base.ids import IdSource
from faregate.domain.billing.provider import ProviderCharge, ProviderPayment

FAILURES: Final[Mapping[str, str | None]] = {
    "pm_card_visa": None,
    "pm_card_mastercard": None,
    "pm_card_chargeCustomerFail": "card_declined",
    "pm_card_authenticationRequired": "authentication_required",
}
"""The methods that can be kept, and the failure of a charge, if any."""

NO_METHOD: Final = "no_payment_method"


def set_method(connection: sqlite3.Connection, customer_id: str, method: str) -> None:
    """Keep the customer's method; `InvalidInput` on `payment_method` for another than those of `FAILURES`."""
    if method not in FAILURES:
        known = ", ".join(FAILURES)
        raise InvalidInput.of("payment_method", f"the embedded provider takes one of {known}, not {method!r}")
    connection.execute(
        "INSERT INTO payment_method (customer, method) VALUES (?, ?)"
        " ON CONFLICT (customer) DO UPDATE SET method = excluded.method",
        (customer_id, method),
    )


def take(
    connection: sqlite3.Connection, customer_id: str, charge: ProviderCharge, *, new_id: IdSource
) -> ProviderPayment:
    """Take a payment once per lookup key. `Conflict` on a repeat of another amount or currency."""
    standing = connection.execute("SELECT * FROM payment_intent WHERE lookup_key = ?", (charge.lookup_key,)).fetchone()
    if standing is not None:
        if (standing["amount"], standing["currency"]) != (charge.amount, charge.currency):
            raise Conflict("amount", f"the charge {charge.lookup_key!r} was made with another amount")
        return ProviderPayment(id=standing["id"], failure=standing["failure"])
    kept = connection.execute("SELECT method FROM payment_method WHERE customer = ?", (customer_id,)).fetchone()
    payment = ProviderPayment(id=new_id("pi"), failure=NO_METHOD if kept is None else FAILURES[kept["method"]])
    connection.execute(
        "INSERT INTO payment_intent (lookup_key, id, customer, currency, amount, description, failure)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            charge.lookup_key,
            payment.id,
            customer_id,
            charge.currency,
            charge.amount,
            charge.description,
            payment.failure,
        ),
    )
    return payment
