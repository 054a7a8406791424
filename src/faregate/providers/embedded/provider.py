"""The embedded billing provider. It becomes the sandbox that speaks Stripe's API; its words are Stripe's already."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

from faregate.base.clock import from_microseconds
from faregate.base.errors import NotFound
from faregate.base.ids import IdSource, new_id
from faregate.base.periods import Period
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider import (
    MeterEvent,
    ProviderCharge,
    ProviderCoupon,
    ProviderCustomer,
    ProviderDiscount,
    ProviderGrant,
    ProviderInvoice,
    ProviderLine,
    ProviderPayment,
    ProviderSubscription,
    RatedLine,
)
from faregate.domain.billing.provider_links import ProviderLinks
from faregate.domain.billing.provider_usage import UsageSummary
from faregate.providers.embedded import catalog, invoicing, payments, usage
from faregate.providers.embedded.connection import ProviderFile

_INVOICES: Final = (
    "SELECT invoice.*, subscription.lookup_key AS subscription_key, customer.lookup_key AS customer_key FROM invoice"
    " JOIN subscription ON subscription.id = invoice.subscription JOIN customer ON customer.id = invoice.customer"
)


class EmbeddedProvider:
    """A `BillingProvider` in one SQLite file of its own. Safe to call from any thread; durable when a call returns.

    It knows nothing but what it was told: lines come from the meter events received, by its own arithmetic. Raises
    `Unavailable` when its file cannot be written, `NotFound` for what it was never told of, `Conflict` for what
    contradicts what it keeps.
    """

    def __init__(self, path: Path, *, ids: IdSource = new_id) -> None:
        self._file = ProviderFile(path)
        self._new_id = ids

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def account(self) -> str:
        """Return what stands for the one account of the file."""
        return "embedded"

    def linked(self, links: ProviderLinks) -> EmbeddedProvider:
        """Return the provider itself: it finds everything by our ids, and needs no links."""
        del links
        return self

    def ensure_subscription(self, wanted: ProviderSubscription) -> None:
        """Make customer, prices and subscription where they do not stand yet; add prices the subscription lacks."""
        with self._file.reading() as connection:
            if catalog.is_known(connection, wanted):
                return
        with self._file.transaction() as connection:
            customer = catalog.ensure_customer(
                connection, wanted.customer, name=wanted.customer_name, new_id=self._new_id
            )
            subscription = catalog.ensure_subscription(connection, wanted, customer=customer, new_id=self._new_id)
            for price in wanted.prices:
                catalog.add_item(connection, subscription, catalog.ensure_price(connection, price, self._new_id))

    def report_usage(self, usage_event: MeterEvent) -> None:
        """Take a meter event; one whose identifier was taken before is delivered, and counts once."""
        with self._file.transaction() as connection:
            usage.take_meter_event(connection, usage_event)

    def summarize_usage(self, *, customer: str, price: str, start: datetime, end: datetime) -> list[UsageSummary]:
        """Return what was counted of a customer's usage of a price, by day in UTC, or whole within a day."""
        with self._file.transaction() as connection:
            return usage.usage_summaries(connection, customer=customer, price=price, start=start, end=end)

    def create_credit_grant(self, grant: ProviderGrant) -> None:
        """Take credit that invoices finalized from now on use up."""
        with self._file.transaction() as connection:
            usage.take_credit_grant(connection, grant, self._new_id)

    def close_period(
        self,
        subscription: str,
        period: Period,
        *,
        issued_at: datetime,
        rated: tuple[RatedLine, ...] = (),
        metered: tuple[RatedLine, ...] = (),
        coupons: tuple[ProviderCoupon, ...] = (),
        credit: int = 0,
    ) -> ProviderInvoice:
        """Finalize a period's invoice from the usage received and `rated` lines; return the same one for every repeat.

        `coupons` come off in their order, each from what the earlier ones left, before credit pays.
        Open, or paid at once where nothing is due; due the subscription's payment terms after `issued_at`. It rates
        every period by itself and has all credit as grants: `metered` and `credit` say nothing new.
        """
        del metered, credit
        with self._file.transaction() as connection:
            row = catalog.read_subscription(connection, subscription)
            invoice_id = invoicing.finalize(
                connection,
                row,
                period,
                issued_at=issued_at,
                rated=rated,
                coupons=coupons,
                new_id=self._new_id,
            )
            return _read_invoice(connection, invoice_id)

    def pay_invoice(self, invoice_id: str, *, paid_at: datetime) -> ProviderInvoice:
        """Take payment of what is due; a repeat returns the invoice as it was paid."""
        with self._file.transaction() as connection:
            invoicing.mark_paid(connection, invoice_id, paid_at)
            return _read_invoice(connection, invoice_id)

    def set_payment_method(self, customer: ProviderCustomer, payment_method: str) -> None:
        """Keep one of Stripe's test methods; `InvalidInput` on `payment_method` for one it does not know."""
        with self._file.transaction() as connection:
            customer_id = catalog.ensure_customer(
                connection, customer.lookup_key, name=customer.name, new_id=self._new_id
            )
            payments.set_method(connection, customer_id, payment_method)

    def take_payment(self, charge: ProviderCharge) -> ProviderPayment:
        """Charge the customer's method once; a repeat answers what became of the first."""
        with self._file.transaction() as connection:
            customer_id = catalog.ensure_customer(
                connection, charge.customer.lookup_key, name=charge.customer.name, new_id=self._new_id
            )
            return payments.take(connection, customer_id, charge, new_id=self._new_id)

    def get_invoice(self, invoice_id: str) -> ProviderInvoice:
        """Return an invoice; `NotFound` if there is none."""
        with self._file.reading() as connection:
            return _read_invoice(connection, invoice_id)

    def list_invoices(self, *, subscription: str) -> list[ProviderInvoice]:
        """Return a subscription's invoices, oldest first."""
        with self._file.reading() as connection:
            rows = connection.execute(
                f"{_INVOICES} WHERE subscription.lookup_key = ? ORDER BY sequence", (subscription,)
            )
            return [_invoice(connection, row) for row in rows.fetchall()]


def _read_invoice(connection: sqlite3.Connection, invoice_id: str) -> ProviderInvoice:
    row = connection.execute(f"{_INVOICES} WHERE invoice.id = ?", (invoice_id,)).fetchone()
    if row is None:
        raise NotFound("invoice", invoice_id)
    return _invoice(connection, row)


def _invoice(connection: sqlite3.Connection, row: sqlite3.Row) -> ProviderInvoice:
    lines = connection.execute("SELECT * FROM invoice_line WHERE invoice = ? ORDER BY position", (row["id"],))
    discounts = connection.execute("SELECT * FROM invoice_discount WHERE invoice = ? ORDER BY position", (row["id"],))
    return ProviderInvoice(
        id=row["id"],
        number=row["number"],
        subscription=row["subscription_key"],
        customer=row["customer_key"],
        currency=row["currency"],
        period=Period(from_microseconds(row["period_start"]), from_microseconds(row["period_end"])),
        lines=tuple(
            ProviderLine(
                price=line["price"],
                description=line["description"],
                quantity=Decimal(line["quantity"]),
                amount=line["amount"],
            )
            for line in lines
        ),
        subtotal=row["subtotal"],
        discounts=tuple(
            ProviderDiscount(coupon=discount["coupon"], amount=discount["amount"]) for discount in discounts
        ),
        total=row["total"],
        credit_applied=row["credit_applied"],
        amount_due=row["amount_due"],
        status=InvoiceStatus(row["status"]),
        created=from_microseconds(row["created"]),
        due_date=from_microseconds(row["due_date"]),
        paid_at=None if row["paid_at"] is None else from_microseconds(row["paid_at"]),
    )
