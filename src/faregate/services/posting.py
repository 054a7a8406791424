"""Post ledger entries: everything that moves credit moves the balance, and the grants behind it, in one step.

Time comes first: what begins, recurs or ends by an entry's instant does so before the entry is posted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from faregate.base.clock import to_microseconds
from faregate.base.errors import NotFound
from faregate.domain.customers.subscription import Pays
from faregate.domain.ledger.credit_account import CreditAccount, CreditChange, CreditChangeKind, KeptGrant, Movement
from faregate.domain.ledger.overspend import OverspendCause, overspent
from faregate.domain.ledger.reserve import PriceUse, reserved_amount
from faregate.services.mirror_credit import mirror_credit
from faregate.storage.credit import add_movements, newest_movements, read_kept_grants, update_grants
from faregate.storage.database import Transaction
from faregate.storage.leases import outstanding_before
from faregate.storage.ledger import (
    Account,
    EntryKind,
    NewEntry,
    TotalKey,
    insert_entries,
    lock_accounts,
    posted_before,
    read_totals,
    write_credit,
)
from faregate.storage.metered import read_all_prices, read_subscriptions
from faregate.storage.overspend import add_overspend

_KINDS: Final = {
    CreditChangeKind.GRANTED: (EntryKind.GRANT, ""),
    CreditChangeKind.EXPIRED: (EntryKind.EXPIRE, "expired"),
    CreditChangeKind.VOIDED: (EntryKind.VOID, "voided"),
}


def post_entry(transaction: Transaction, entry: NewEntry) -> int | None:
    """Post an entry; return its id, or None where its `caller_id` was posted before."""
    return post_entries(transaction, [entry])[0]


def post_entries(transaction: Transaction, entries: Sequence[NewEntry]) -> list[int | None]:
    """Post entries in order; return the id of each, None where its `caller_id` was posted before.

    Raises `NotFound` for a subscription without an account.
    """
    if not entries:
        return []
    posted = posted_before(transaction, entries)
    book = CreditBook(
        transaction,
        {entry.subscription_id for entry in entries},
        gives_back=any(entry.amount > 0 for entry in entries),
    )
    places: list[int | None] = []
    for entry in entries:
        is_posted = (entry.subscription_id, entry.caller_id) in posted
        places.append(None if is_posted else book.post(entry))
    ids = book.save()
    return [None if place is None else ids[place] for place in places]


def cross_borders(transaction: Transaction, subscription_ids: Collection[str], *, now: datetime) -> None:
    """Let grants begin, recur and end that are due by the business time `now`."""
    if subscription_ids:
        book = CreditBook(transaction, subscription_ids, gives_back=False)
        for subscription_id in sorted(subscription_ids):
            book.cross(subscription_id, now)
        book.save()


@dataclass(slots=True)
class _Written:
    """Entries to write, and the grants that each moves."""

    entries: list[NewEntry] = field(default_factory=list)
    movements: list[tuple[Movement, ...]] = field(default_factory=list)

    def add(self, entry: NewEntry, movements: tuple[Movement, ...]) -> int:
        self.entries.append(entry)
        self.movements.append(movements)
        return len(self.entries) - 1


class CreditBook:
    """The credit of some accounts, locked, for one transaction: read once, changed in memory, written once by `save`.

    `gives_back`: credit may go back to grants that are used up, so those are read, too.
    """

    def __init__(self, transaction: Transaction, subscription_ids: Collection[str], *, gives_back: bool) -> None:
        self._transaction = transaction
        self.accounts: dict[str, Account] = lock_accounts(transaction, subscription_ids)
        grants = read_kept_grants(transaction, subscription_ids, with_used_up=gives_back)
        self.credits = {
            subscription_id: CreditAccount(account.balance, grants.get(subscription_id, []))
            for subscription_id, account in self.accounts.items()
        }
        self.words: dict[str, str] = {}
        """By grant: why it ends, for the entries that it makes."""
        self._written = _Written()

    def post(self, entry: NewEntry) -> int:
        """Post an entry; return its place among what `save` returns."""
        credit = self._credit(entry.subscription_id)
        self.cross(entry.subscription_id, entry.occurred_at)
        movements = credit.post(entry.amount, newest_movements(self._transaction, list(credit.grants)))
        return self._written.add(entry, movements)

    def post_moved(self, entry: NewEntry, movements: tuple[Movement, ...]) -> int:
        """Post an entry whose movements were made on its account's credit already."""
        return self._written.add(entry, movements)

    def cross(self, subscription_id: str, now: datetime) -> None:
        """Cross the borders of an account's grants up to an instant."""
        credit = self._credit(subscription_id)
        if not credit.is_due(now):
            return
        account = self.accounts[subscription_id]

        def reserved(before: datetime) -> int:
            return reserved_before(self._transaction, account, before)

        for change in credit.cross(now, reserved):
            kept = credit.grants[change.grant_id]
            words = self.words.get(change.grant_id, "")
            self._written.add(_entry(account, kept, change, words=words), change.movements)
            mirror_credit(
                self._transaction,
                account,
                kept.grant,
                amount=change.amount,
                name=_name(kept, change),
                at=change.at,
            )

    def save(self) -> list[int]:
        """Write entries, movements, balances and grants; return the entries' ids, in order."""
        written = self._written
        ids = insert_entries(self._transaction, written.entries)
        add_movements(self._transaction, dict(zip(ids, written.movements, strict=True)))
        for subscription_id, credit in self.credits.items():
            account = self.accounts[subscription_id]
            update_grants(self._transaction, [credit.grants[grant_id] for grant_id in sorted(credit.changed)])
            credit.changed.clear()
            border_at = credit.next_border_at
            self._count_overspend(account, credit.balance)
            if (credit.balance, border_at) != (account.balance, account.next_border_at):
                write_credit(self._transaction, subscription_id, balance=credit.balance, border_at=border_at)
                self.accounts[subscription_id] = replace(account, balance=credit.balance, next_border_at=border_at)
        self._written = _Written()
        return ids

    def _count_overspend(self, account: Account, balance: int) -> None:
        """Count what entries beside usage take that is not there; usage is counted with the leases that it draws."""
        amount = overspent(before=account.available, after=account.available + balance - account.balance)
        if not amount:
            return
        entries = [one for one in self._written.entries if one.subscription_id == account.subscription_id]
        if any(one.kind is EntryKind.DEBIT for one in entries):
            return
        found = read_subscriptions(self._transaction, [account.subscription_id])[account.subscription_id]
        if found.pays is Pays.PREPAID:
            add_overspend(
                self._transaction,
                account.application_id,
                account.subscription_id,
                cause=OverspendCause.ENTRY,
                amount=amount,
                at=entries[-1].occurred_at,
            )

    def _credit(self, subscription_id: str) -> CreditAccount:
        credit = self.credits.get(subscription_id)
        if credit is None:
            raise NotFound("subscription", subscription_id)
        return credit


def reserved_before(transaction: Transaction, account: Account, before: datetime) -> int:
    """Return what units can still cost that are out in leases granted before an instant, in ledger units."""
    if not account.reserved:
        return 0
    units: dict[TotalKey, int] = {}
    for (price_id, period), outstanding in outstanding_before(transaction, account.subscription_id, before).items():
        key = TotalKey(account.subscription_id, price_id, period.start)
        units[key] = units.get(key, 0) + outstanding
    totals = read_totals(transaction, units)
    subscription = read_subscriptions(transaction, [account.subscription_id])[account.subscription_id]
    prices = read_all_prices(transaction)
    return sum(
        reserved_amount(
            PriceUse(
                price=subscription.version_paid(prices, key.price_id, period_start=key.period_start),
                totals=total.totals,
                outstanding=units[key],
            )
        )
        for key, total in totals.items()
    )


def _entry(account: Account, kept: KeptGrant, change: CreditChange, *, words: str) -> NewEntry:
    kind, description = _KINDS[change.kind]
    return NewEntry(
        application_id=account.application_id,
        subscription_id=account.subscription_id,
        kind=kind,
        amount=change.amount,
        caller_id=f"{kind.value}:{_name(kept, change)}",
        description=words or description or kept.description,
        occurred_at=change.at,
    )


def _name(kept: KeptGrant, change: CreditChange) -> str:
    """Return what tells the entries of a grant's borders apart: a grant's first one bears its own id."""
    if change.kind is CreditChangeKind.GRANTED and change.at == kept.grant.effective_at:
        return change.grant_id
    return f"{change.grant_id}:{change.kind.value}:{to_microseconds(change.at)}:{change.left}"
