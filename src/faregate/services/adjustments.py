"""Amounts of invoiced periods that change later: kept with their source, and billed by the next invoice.

An invoice is final. What moves the amount of a period after its invoice (a late event, a correction, a re-rating, an
incident credit) is charged to the account at once, in that period, and reaches the next invoice as a line of its own,
"Adjustment: <price>, period from <day>".

How to use it, in the transaction that moves the amount:

1. Post your own ledger entry, with `price_id` and `period_start` of the period that is moved (not of the open one).
2. Call `adjust` with the amount that the entry took (above zero: the customer owes more; an entry of -5 is 5 here).

Where totals of usage change, do it only if `is_invoiced` says so: an open period's invoice is made from its totals.
`owed_before` and `carry` do both for whatever settles usage through an `AccountBook`. A credit that leaves totals as
they are (an incident credit) is an adjustment in an open period too: its invoice shows both lines.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from faregate.base.clock import to_microseconds
from faregate.base.money import EXACT
from faregate.domain.billing.adjustment import AdjustmentSource, BillingStep, PriceBill, bill_adjustments
from faregate.domain.catalog.versions import PriceList
from faregate.domain.customers.subscription import Subscription
from faregate.services.account_book import AccountBook
from faregate.services.posting import post_entry
from faregate.services.provider_messages import ExpectedLine
from faregate.storage.adjustments import (
    NewAdjustment,
    insert_adjustment,
    mark_billed,
    read_bills,
    waiting_adjustments,
    write_bills,
)
from faregate.storage.closing import open_periods
from faregate.storage.database import Transaction
from faregate.storage.ledger import EntryKind, NewEntry, TotalKey
from faregate.storage.metered import read_all_prices


def adjust(
    transaction: Transaction,
    *,
    application_id: str,
    key: TotalKey,
    amount: int,
    source: AdjustmentSource,
    source_id: str,
    now: datetime,
    quantity: Decimal = Decimal(0),
) -> bool:
    """Let the next invoice bill `amount` ledger units more of a price and period; below zero, give them back.

    Posts nothing: the caller's own entry has moved the balance. `quantity`: the units that the amount comes of, shown
    on the line. A repeat of `source` and `source_id` for the same price and period changes nothing and returns False.
    """
    new = NewAdjustment(
        application_id=application_id,
        key=key,
        source=source,
        source_id=source_id,
        quantity=quantity,
        amount=amount,
        created_at=now,
    )
    if not insert_adjustment(transaction, new):
        return False
    write_bills(transaction, {key: read_bills(transaction, [key])[key].plus(amount)})
    return True


def is_invoiced(transaction: Transaction, key: TotalKey) -> bool:
    """Return whether the period of a total has ended and is, or is being, invoiced."""
    found = open_periods(transaction, [key.subscription_id]).get(key.subscription_id)
    return found is not None and key.period_start < found.billed_until


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageChange:
    """By how much usage moved a total: the debit that was posted for it, and the units."""

    debit: int
    quantity: Decimal


def owed_before(book: AccountBook, keys: Collection[TotalKey]) -> dict[TotalKey, int]:
    """Return what totals of invoiced periods come to before usage of them is settled; for `carry`."""
    return {key: book.owed(key) for key in keys}


def carry(
    transaction: Transaction,
    *,
    application_id: str,
    book: AccountBook,
    before: Mapping[TotalKey, int],
    changes: Mapping[TotalKey, UsageChange],
    source: AdjustmentSource,
    source_id: str,
    now: datetime,
) -> None:
    """Make adjustments of what usage changed in invoiced periods, once its debits are posted.

    What a minimum or a commitment had already charged is given back as a `closing` entry, so that the entries of the
    period still add up to what it comes to.
    """
    for key, owed in before.items():
        change = changes[key]
        difference = book.owed(key) - owed
        if difference != change.debit:
            post_entry(
                transaction,
                NewEntry(
                    application_id=application_id,
                    subscription_id=key.subscription_id,
                    kind=EntryKind.CLOSING,
                    amount=change.debit - difference,
                    caller_id=f"closing:{source.value}:{source_id}:{key.price_id}:{to_microseconds(key.period_start)}",
                    description="due at the period's end beyond usage, after usage changed",
                    occurred_at=now,
                    price_id=key.price_id,
                    period_start=key.period_start,
                ),
            )
        if not difference and not change.quantity:
            continue
        adjust(
            transaction,
            application_id=application_id,
            key=key,
            amount=difference,
            source=source,
            source_id=source_id,
            now=now,
            quantity=change.quantity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBill:
    """What the invoice of a period must say, adjustments included, and what is to be kept of it (`keep_bill`)."""

    lines: tuple[ExpectedLine, ...]
    bills: Mapping[TotalKey, PriceBill]
    whole: frozenset[TotalKey]


def bill_period(
    transaction: Transaction,
    subscription: Subscription,
    *,
    period_start: datetime,
    lines: tuple[ExpectedLine, ...],
    after: PeriodBill | None = None,
) -> PeriodBill:
    """Return the lines of a period's usage with those of the adjustments that wait. Reads only.

    `after`: a bill that is not kept yet, but comes before.

    An invoice's total is never below zero: what is given back beyond it waits for the next one. Adjustments alone make
    an invoice only where something is due.
    """
    unit = subscription.currency
    waiting: dict[TotalKey, Decimal] = {}
    for found in waiting_adjustments(transaction, subscription.subscription_id):
        if after is None or found.key not in after.whole:
            waiting[found.key] = EXACT.add(waiting.get(found.key, Decimal(0)), found.quantity)
    own = {TotalKey(subscription.subscription_id, line.price_id, period_start): line for line in lines}
    bills = read_bills(transaction, own.keys() | waiting.keys()) | (dict(after.bills) if after is not None else {})
    for key, line in own.items():
        bills[key] = bills[key].with_line(line.amount, rounding=line.rounding, unit=unit)
    steps = bill_adjustments([(key, bills[key]) for key in waiting], unit, room=sum(line.amount for line in lines))
    if not lines and not sum(step.line for _, step in steps):
        steps = []
    prices = read_all_prices(transaction) if steps else PriceList([])
    return PeriodBill(
        lines=lines
        + tuple(_adjustment_line(subscription, prices, key, step=step, quantity=waiting[key]) for key, step in steps),
        bills=bills | {key: step.after for key, step in steps},
        whole=frozenset(key for key, step in steps if step.is_whole)
        | (after.whole if after is not None else frozenset()),
    )


def keep_bill(transaction: Transaction, bill: PeriodBill, *, period_start: datetime) -> None:
    """Keep what a period's invoice bills, and which adjustments are on it."""
    write_bills(transaction, bill.bills)
    mark_billed(transaction, bill.whole, billed_in=period_start)


def _adjustment_line(
    subscription: Subscription, prices: PriceList, key: TotalKey, *, step: BillingStep, quantity: Decimal
) -> ExpectedLine:
    name = prices.version(key.price_id, subscription.currency).name
    first_day = key.period_start.astimezone(subscription.cycle.zone).date()
    return ExpectedLine(
        price_id=key.price_id,
        quantity=quantity if step.is_whole else Decimal(0),
        amount=step.line,
        rated=True,
        description=f"Adjustment: {name}, period from {first_day.isoformat()}",
        rounding=step.rounding,
        adjusts=key.period_start,
    )
