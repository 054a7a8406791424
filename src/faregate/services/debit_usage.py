"""From quantities to money: period totals, debits, one ledger entry a price, and usage windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from faregate.base.clock import to_microseconds
from faregate.base.periods import Period
from faregate.domain.billing.adjustment import AdjustmentSource
from faregate.domain.metering.metric import added_up
from faregate.services.account_book import AccountBook
from faregate.services.adjustments import UsageChange, carry, owed_before
from faregate.services.meter_totals import MeterTotals, group_text
from faregate.services.place_usage import Posting
from faregate.services.posting import post_entries
from faregate.services.usage_windows import add_to_windows
from faregate.storage.database import Transaction
from faregate.storage.ledger import EntryKind, NewEntry, TotalKey
from faregate.storage.usage import Charge, add_charges
from faregate.storage.usage_states import MeterTotalKey


def debit_usage(
    transaction: Transaction,
    application_id: str,
    postings: Sequence[Posting],
    *,
    book: AccountBook,
    now: datetime,
    source: str = "debit",
    late_as: AdjustmentSource = AdjustmentSource.LATE_EVENT,
) -> list[Charge]:
    """Charge postings in log order and add them to their windows; what of it is of invoiced periods, as adjustments.

    Return what was charged.
    `now` is the application's business time. `source` tells ledger entries apart that come of the same events, and
    `late_as` says why usage of an invoiced period comes now.
    """
    if not postings:
        return []
    before = owed_before(book, {posting.key for posting in postings if posting.is_invoiced and posting.key})
    totals = MeterTotals(transaction, _stateful(postings))
    quantities = [_quantity(posting, totals) for posting in postings]
    amounts, debited = _settle(postings, quantities, book=book)
    totals.save()
    entry_ids = _post_entries(transaction, application_id, postings, debited=debited, now=now, source=source)
    charges = [
        Charge(
            posting.measured.position,
            posting.measured.meter.meter_id,
            posting.measured.company_id,
            posting.key.subscription_id if posting.key is not None else "",
            posting.key.price_id if posting.key is not None else posting.measured.meter.price_id,
            posting.measured.event.occurred_at,
            quantity,
            amount,
            entry_ids.get(posting.key),
        )
        for posting, quantity, amount in zip(postings, quantities, amounts, strict=True)
    ]
    add_charges(transaction, application_id, charges)
    add_to_windows(transaction, application_id, postings, quantities=quantities)
    carry(
        transaction,
        application_id=application_id,
        book=book,
        before=before,
        changes={key: UsageChange(debit=debited[key].amount, quantity=debited[key].quantity) for key in before},
        source=late_as,
        source_id=f"{source}:{postings[0].measured.position}-{postings[-1].measured.position}",
        now=now,
    )
    return charges


@dataclass(slots=True)
class _Debited:
    amount: int
    quantity: Decimal


def _stateful(postings: Sequence[Posting]) -> dict[MeterTotalKey, Period]:
    return {
        meter_total_key(posting.key, posting): posting.period
        for posting in postings
        if posting.key is not None and posting.period is not None and not isinstance(posting.measured.amount, Decimal)
    }


def meter_total_key(key: TotalKey, posting: Posting) -> MeterTotalKey:
    """Return the state that moves: one a group, and one a row of a price by dimension."""
    measured = posting.measured
    group = group_text((*posting.dimension, *measured.group))
    return MeterTotalKey(key.subscription_id, measured.meter.meter_id, key.period_start, group)


def _quantity(posting: Posting, totals: MeterTotals) -> Decimal:
    """Return by how much the event moves its total; an event with a state moves nothing where there is no total."""
    amount = posting.measured.amount
    if isinstance(amount, Decimal):
        return amount
    if posting.key is None:
        return Decimal(0)
    return totals.add(meter_total_key(posting.key, posting), posting.measured.meter, amount)


def _settle(
    postings: Sequence[Posting], quantities: Sequence[Decimal], *, book: AccountBook
) -> tuple[list[int], dict[TotalKey, _Debited]]:
    """Return what each posting costs, and what each total was debited."""
    places: dict[TotalKey, list[int]] = {}
    for place, posting in enumerate(postings):
        if posting.key is not None:
            places.setdefault(posting.key, []).append(place)
    amounts = [0] * len(postings)
    debited = {}
    for key, found in places.items():
        debits = book.settle_all(key, [(quantities[place], postings[place].dimension) for place in found])
        for place, debit in zip(found, debits, strict=True):
            amounts[place] = debit
        debited[key] = _Debited(sum(debits), added_up(quantities[place] for place in found))
    return amounts, debited


def _post_entries(
    transaction: Transaction,
    application_id: str,
    postings: Sequence[Posting],
    *,
    debited: Mapping[TotalKey, _Debited],
    now: datetime,
    source: str,
) -> dict[TotalKey | None, int | None]:
    first, last = postings[0].measured.position, postings[-1].measured.position
    keys = [key for key, total in debited.items() if total.amount]
    ids = post_entries(
        transaction,
        [
            NewEntry(
                application_id=application_id,
                subscription_id=key.subscription_id,
                kind=EntryKind.DEBIT,
                amount=-debited[key].amount,
                caller_id=f"{source}:{first}-{last}:{key.price_id}:{to_microseconds(key.period_start)}",
                description="usage",
                occurred_at=now,
                price_id=key.price_id,
                period_start=key.period_start,
                quantity=debited[key].quantity,
            )
            for key in keys
        ],
    )
    return dict(zip(keys, ids, strict=True))
