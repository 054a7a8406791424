"""What an account may still spend, and until when that is so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from faregate.services.accounts import refresh_accounts
from faregate.storage.credit import first_expiry
from faregate.storage.database import Transaction
from faregate.storage.ledger import Account, lock_accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Spendable:
    """`available` in ledger units, at this instant. No lease may lean on it beyond `leans_until`: credit ends then."""

    available: int
    leans_until: datetime | None


def spendable(transaction: Transaction, account: Account, *, now: datetime) -> Spendable:
    """Return what leases may reserve of an account, which is locked, at the business time `now`.

    Grants that begin or end by now do so first, whenever the tick comes round.
    """
    if account.next_border_at is None:
        return Spendable(available=account.available, leans_until=None)
    if account.is_due(now):
        refresh_accounts(transaction, subscription_ids=[account.subscription_id], now=now)
        account = lock_accounts(transaction, [account.subscription_id])[account.subscription_id]
    return Spendable(
        available=account.available, leans_until=first_expiry(transaction, account.subscription_id, after=now)
    )
