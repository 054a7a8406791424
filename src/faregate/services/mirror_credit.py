"""Tell the billing provider what its invoices may use: credit that began, and credit that is gone."""

from __future__ import annotations

from datetime import datetime

from faregate.domain.ledger.burning import Grant
from faregate.services.provider_messages import CREDIT_GRANT, CreditMessage, encode_message
from faregate.storage.database import Transaction
from faregate.storage.ledger import Account
from faregate.storage.metered import read_subscriptions
from faregate.storage.outbox import add_to_outbox


def mirror_credit(
    transaction: Transaction, account: Account, grant: Grant, *, amount: int, name: str, at: datetime
) -> None:
    """Tell the provider of `amount` ledger units more, below zero less, that a grant has; `name` makes it once."""
    subscription = read_subscriptions(transaction, [account.subscription_id])[account.subscription_id]
    message = CreditMessage(
        subscription_id=account.subscription_id,
        grant_id=name,
        amount=str(amount),
        currency=subscription.currency.code,
        kind=grant.kind.value,
    )
    add_to_outbox(
        transaction,
        application_id=account.application_id,
        kind=CREDIT_GRANT,
        key=f"{CREDIT_GRANT}:{name}",
        subscription_id=account.subscription_id,
        payload=encode_message(message),
        now=at,
    )
