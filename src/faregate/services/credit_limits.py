"""How far below zero a prepaid account may go."""

from __future__ import annotations

from decimal import Decimal

from faregate.base.errors import InvalidInput
from faregate.domain.customers.subscription import Pays
from faregate.services.accounts import refresh_accounts
from faregate.services.change import Change
from faregate.services.credit import ledger_units
from faregate.services.subscriptions import find_existing
from faregate.storage import ledger
from faregate.storage.database import Transaction


def set_overdraft(transaction: Transaction, change: Change, subscription_id: str, *, overdraft: Decimal) -> None:
    """Let a prepaid account go below zero by at most `overdraft` major units; at once, for all gateways.

    Raises `NotFound`, and `InvalidInput` on `overdraft` for an amount below zero or an account that is not prepaid.
    """
    subscription = find_existing(transaction, change.application_id, subscription_id).subscription
    if overdraft and subscription.pays is not Pays.PREPAID:
        raise InvalidInput.of("overdraft", f"is for prepaid subscriptions; this one pays {subscription.pays.value}")
    units = ledger_units("overdraft", overdraft, subscription) if overdraft else 0
    ledger.set_overdraft(transaction, subscription_id, units)
    refresh_accounts(transaction, subscription_ids=[subscription_id], now=change.now)
