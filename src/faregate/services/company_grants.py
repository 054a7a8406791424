"""Give a company one amount of credit, spread over its subscriptions by weight, to the last ledger unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from faregate.base.errors import InvalidInput
from faregate.base.money import from_ledger_units
from faregate.domain.ledger.credit_account import spread
from faregate.services.change import Change
from faregate.services.credit import NewGrant, give_grant, ledger_units
from faregate.services.subscriptions import find_existing
from faregate.storage.credit import GrantRow
from faregate.storage.database import Transaction


class Share(NamedTuple):
    """A subscription and how much of the whole it gets, beside the others' weights."""

    subscription_id: str
    weight: int


def give_company_grant(
    transaction: Transaction, change: Change, company_id: str, *, wanted: NewGrant, shares: Sequence[Share]
) -> list[GrantRow]:
    """Give each subscription its share as a grant of its own; return them in the shares' order. `wanted` is the whole.

    Raises `InvalidInput` on the share at fault: one that is named twice, another company's, or of another currency than
    the first; or on `amount` where it is less than a ledger unit a share.
    """
    subscriptions = [
        find_existing(transaction, change.application_id, share.subscription_id).subscription for share in shares
    ]
    for place, found in enumerate(subscriptions):
        field = f"shares[{place}].subscription_id"
        if found.company_id != company_id:
            raise InvalidInput.of(field, f"is not a subscription of the company {company_id!r}")
        if found.currency != subscriptions[0].currency:
            raise InvalidInput.of(
                field, f"is in {found.currency.code}, and the first in {subscriptions[0].currency.code}"
            )
        if found in subscriptions[:place]:
            raise InvalidInput.of(field, "is named twice")
    amounts = spread(ledger_units("amount", wanted.amount, subscriptions[0]), [share.weight for share in shares])
    if not all(amounts):
        raise InvalidInput.of("amount", "is too small for so many shares")
    return [
        give_grant(
            transaction,
            replace(
                wanted,
                subscription_id=share.subscription_id,
                amount=from_ledger_units(amount, subscriptions[0].currency),
            ),
            new_id=change.new_id,
            now=change.now,
        )
        for share, amount in zip(shares, amounts, strict=True)
    ]
