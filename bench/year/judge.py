"""Holds invoices, reports and charges against the usage itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bench.year.places import Books
from bench.year.scene import TOP_UP_CENTS, Customer, Tally, month_of
from faregate.storage.billing import invoices_of_subscription
from faregate.storage.database import Transaction

_PACKAGE: Final = 1_000_000
_CENTS: Final = (50, 150)
_SIDES: Final = 2


def expected_cents(tally: Tally, company_id: str, month: str) -> int:
    """Return what a month's usage costs: whole packages of each side, once."""
    return sum(-(-tally.tokens[company_id, month, side] // _PACKAGE) * cents for side, cents in enumerate(_CENTS))


def judge_invoices(
    transaction: Transaction, books: Books, customers: list[Customer], *, tally: Tally, months: int
) -> Iterator[str]:
    """Yield what is wrong with the invoices of every customer and month, ours and the provider's."""
    for customer in customers:
        found = invoices_of_subscription(transaction, customer.subscription_id)
        ours = {invoice.period.start: invoice for invoice in found}
        for number in range(months):
            start = month_of(number)
            month, expected = f"{start:%Y-%m}", expected_cents(tally, customer.company_id, f"{start:%Y-%m}")
            our = ours.get(start)
            their = None if our is None else books.invoices.get(our.invoice_id)
            if our is None or their is None:
                yield f"{customer.company_id} {month}: the invoice is missing {'here' if our is None else 'there'}"
                continue
            due = 0 if customer.is_prepaid else expected
            if not our.total == their[0] == expected or not our.amount_due == their[1] == due:
                yield (
                    f"{customer.company_id} {month}: ours {our.total}, {our.amount_due} due; the provider's "
                    f"{their[0]}, {their[1]} due; usage {expected}, {due} due"
                )


def judge_reports(transaction: Transaction, books: Books, tally: Tally) -> Iterator[str]:
    """Yield what is wrong with reports: one meter event for each window and revision, and each of them ours."""
    rows = transaction.exec_driver_sql("SELECT key, delivered_at, last_error FROM outbox WHERE kind = 'usage'").all()
    keys = {key for key, _, _ in rows}
    revised = sum(":r" in key for key in keys)
    if revised != _SIDES * len(tally.late) or len(keys) - revised != _SIDES * len(tally.windows):
        yield (
            f"{len(keys)} reports of which {revised} are revisions, for {_SIDES * len(tally.windows)} windows and "
            f"{_SIDES * len(tally.late)} late changes"
        )
    lacking = [(key, error) for key, delivered_at, error in rows if delivered_at is None]
    if lacking:
        shown = next((each for each in lacking if each[1]), lacking[0])
        yield f"{len(lacking)} reports were not delivered, such as {shown}"
    if sorted(books.meter_events) != sorted(keys):
        yield f"the provider has {len(books.meter_events)} meter events for {len(keys)} reports"


def judge_charges(transaction: Transaction, books: Books, customers: list[Customer]) -> Iterator[str]:
    """Yield what is wrong with what customers were charged: the top-ups of those who pay ahead, and nothing else."""
    bought = transaction.exec_driver_sql("SELECT count(*) FROM top_up WHERE status = 'paid'").scalar_one()
    if books.charges != [TOP_UP_CENTS] * bought:
        yield f"{bought} top-ups, {len(books.charges)} charges of {sum(books.charges)} cents in all"
    if any(customer.is_prepaid for customer in customers) and not bought:
        yield "nobody topped up"
