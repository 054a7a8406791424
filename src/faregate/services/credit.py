"""Give credit: one entry, the account's projection, and the billing provider's copy, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from faregate.base.errors import InvalidInput, NotFound
from faregate.base.failpoints import CREDIT_GIVEN, reach
from faregate.base.ids import IdSource
from faregate.base.limits import MAX_LEDGER_UNITS
from faregate.base.money import from_ledger_units, to_ledger_units
from faregate.domain.customers.subscription import Subscription
from faregate.services.accounts import refresh_accounts
from faregate.storage.credit import GrantRow, add_grant, find_grant
from faregate.storage.database import Transaction
from faregate.storage.ledger import EntryKind, NewEntry, lock_accounts, post_entry
from faregate.storage.metered import read_subscriptions
from faregate.storage.outbox import add_to_outbox


class GrantKind(StrEnum):
    """Bought, or given away."""

    PAID = "paid"
    PROMOTIONAL = "promotional"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """Credit to give: `amount` in major units of the subscription's currency.

    A repeated `caller_id` gives nothing more.
    """

    application_id: str
    subscription_id: str
    amount: Decimal
    kind: GrantKind
    description: str
    caller_id: str


def give_grant(transaction: Transaction, wanted: NewGrant, *, new_id: IdSource, now: datetime) -> GrantRow:
    """Add credit to a subscription at the business time `now`; return the grant, the first one's if it is a repeat.

    Raises `NotFound` for an unknown subscription and `InvalidInput` on `amount` when it is not above zero, finer than
    the ledger's resolution, or would overflow the balance.
    """
    subscription = read_subscriptions(transaction, [wanted.subscription_id]).get(wanted.subscription_id)
    account = lock_accounts(transaction, [wanted.subscription_id]).get(wanted.subscription_id)
    if subscription is None or account is None or account.application_id != wanted.application_id:
        raise NotFound("subscription", wanted.subscription_id)
    given = find_grant(transaction, wanted.subscription_id, wanted.caller_id)
    if given is not None:
        return given
    units = _units(wanted.amount, subscription)
    if account.balance + units > MAX_LEDGER_UNITS:
        raise InvalidInput.of("amount", "would make the balance larger than the ledger can hold")
    grant = GrantRow(
        grant_id=new_id("grn"),
        application_id=wanted.application_id,
        subscription_id=wanted.subscription_id,
        amount=units,
        kind=wanted.kind.value,
        description=wanted.description,
        caller_id=wanted.caller_id,
        created_at=now,
    )
    add_grant(transaction, grant)
    post_entry(
        transaction,
        NewEntry(
            application_id=wanted.application_id,
            subscription_id=wanted.subscription_id,
            kind=EntryKind.GRANT,
            amount=units,
            caller_id=f"grant:{grant.grant_id}",
            description=wanted.description,
            occurred_at=now,
        ),
    )
    _mirror(transaction, grant, subscription)
    refresh_accounts(transaction, subscription_ids=[wanted.subscription_id], now=now)
    reach(CREDIT_GIVEN)
    return grant


def _units(amount: Decimal, subscription: Subscription) -> int:
    if not amount.is_finite() or amount <= 0:
        raise InvalidInput.of("amount", "must be above zero, for example '10.00'")
    units = to_ledger_units(amount, subscription.currency)
    if from_ledger_units(units, subscription.currency) != amount:
        raise InvalidInput.of("amount", f"has more than {subscription.currency.ledger_places} decimal places")
    return units


def _mirror(transaction: Transaction, grant: GrantRow, subscription: Subscription) -> None:
    payload = {
        "subscription_id": grant.subscription_id,
        "grant_id": grant.grant_id,
        "amount": str(grant.amount),
        "currency": subscription.currency.code,
        "kind": grant.kind,
    }
    add_to_outbox(
        transaction,
        application_id=grant.application_id,
        kind="credit_grant",
        key=f"credit_grant:{grant.grant_id}",
        subscription_id=grant.subscription_id,
        payload=msgspec.json.encode(payload).decode(),
        now=grant.created_at,
    )
