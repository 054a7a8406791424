"""Holds invoices, reports and charges against the usage itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.year.scene import TOP_UP_CENTS, Customer, Tally, month_of
from faregate.domain.billing.provider import ProviderInvoice
from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.storage.billing import invoices_of_subscription
from faregate.storage.database import Transaction

_PACKAGE: Final = 1_000_000
_CENTS: Final = (50, 150)
_SIDES: Final = 2


def expected_cents(tally: Tally, company_id: str, month: str) -> int:
    """Return what a month's usage costs: whole packages of each side, once."""
    return sum(-(-tally.tokens[company_id, month, side] // _PACKAGE) * cents for side, cents in enumerate(_CENTS))


def judge_invoices(
    transaction: Transaction, provider: EmbeddedProvider, customers: list[Customer], *, tally: Tally, months: int
) -> Iterator[str]:
    """Yield what is wrong with the invoices of every customer and month, ours and the provider's."""
    for customer in customers:
        ours = {
            invoice.period.start: invoice for invoice in invoices_of_subscription(transaction, customer.subscription_id)
        }
        theirs: dict[object, ProviderInvoice] = {
            invoice.period.start: invoice for invoice in provider.list_invoices(subscription=customer.subscription_id)
        }
        for number in range(months):
            start = month_of(number)
            month, expected = f"{start:%Y-%m}", expected_cents(tally, customer.company_id, f"{start:%Y-%m}")
            our, their = ours.get(start), theirs.get(start)
            if our is None or their is None:
                yield f"{customer.company_id} {month}: invoice is missing"
                continue
            if not our.total == their.total == expected:
                yield f"{customer.company_id} {month}: ours {our.total}, provider's {their.total}, usage {expected}"
            due = 0 if customer.is_prepaid else expected
            if not our.amount_due == their.amount_due == due:
                yield f"{customer.company_id} {month}: due {our.amount_due} and {their.amount_due}, not {due}"


def judge_reports(transaction: Transaction, provider_file: Path, tally: Tally) -> Iterator[str]:
    """Yield what is wrong with reports: one meter event for each window and revision, and each of them ours."""
    rows = transaction.exec_driver_sql("SELECT key, delivered_at, failure FROM outbox WHERE kind = 'usage'").all()
    keys = {key for key, _, _ in rows}
    revised = sum(":r" in key for key in keys)
    if revised != _SIDES * len(tally.late) or len(keys) - revised != _SIDES * len(tally.windows):
        yield (
            f"{len(keys)} reports of which {revised} are revisions, for {_SIDES * len(tally.windows)} windows and "
            f"{_SIDES * len(tally.late)} late changes"
        )
    lacking = [key for key, delivered_at, _ in rows if delivered_at is None]
    if lacking:
        yield f"{len(lacking)} reports were not delivered, such as {lacking[0]}"
    with sqlite3.connect(provider_file) as connection:
        taken = [row[0] for row in connection.execute("SELECT identifier FROM meter_event")]
    if sorted(taken) != sorted(keys):
        yield f"the provider has {len(taken)} meter events for {len(keys)} reports"


def judge_charges(transaction: Transaction, provider_file: Path, customers: list[Customer]) -> Iterator[str]:
    """Yield what is wrong with what prepaid customers were charged: their top-ups, and nothing else."""
    bought = transaction.exec_driver_sql("SELECT top_up_id, status FROM top_up").all()
    with sqlite3.connect(provider_file) as connection:
        charged = dict(
            connection.execute("SELECT lookup_key, amount FROM payment_intent WHERE failure IS NULL").fetchall()
        )
    if {top_up_id for top_up_id, status in bought if status == "paid"} != charged.keys():
        yield f"{len(bought)} top-ups, {len(charged)} charges"
    if any(amount != TOP_UP_CENTS for amount in charged.values()):
        yield "a charge is no top-up"
    if any(customer.is_prepaid for customer in customers) and not charged:
        yield "nobody topped up"
