"""Give credit: the grant, its entry once it begins, and the billing provider's copy, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from faregate.base.clock import to_microseconds
from faregate.base.errors import InvalidInput, NotFound
from faregate.base.failpoints import CREDIT_GIVEN, reach
from faregate.base.ids import IdSource
from faregate.base.limits import MAX_GRANTS, MAX_LEDGER_UNITS
from faregate.base.money import from_ledger_units, to_ledger_units
from faregate.base.periods import PeriodCalendar
from faregate.domain.customers.subscription import Subscription
from faregate.domain.ledger.burning import Grant, GrantKind
from faregate.domain.ledger.credit_account import KeptGrant
from faregate.services.accounts import refresh_accounts
from faregate.services.posting import CreditBook
from faregate.storage.credit import GrantRow, add_grant, count_live_grants, find_grant
from faregate.storage.database import Transaction
from faregate.storage.metered import read_subscriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """Credit to give: `amount` and `rolls_over` in major units of the subscription's currency.

    It begins now where no `effective_at` is given, and never ends where no `expires_at` is. `recurs`: at each border it
    is at `amount` again, and keeps `rolls_over` at most of what was left. A repeated `caller_id` gives nothing more.
    `is_paid_for`: money was taken for it, so that no limit to the number of grants refuses it.
    """

    application_id: str
    subscription_id: str
    amount: Decimal
    kind: GrantKind
    description: str
    caller_id: str
    priority: int = 0
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    recurs: PeriodCalendar | None = None
    rolls_over: Decimal = Decimal(0)
    is_paid_for: bool = False


def give_grant(transaction: Transaction, wanted: NewGrant, *, new_id: IdSource, now: datetime) -> GrantRow:
    """Add credit to a subscription at the business time `now`; return the grant, the first one's if it is a repeat.

    Raises `NotFound` for an unknown subscription and `InvalidInput` on the field that cannot be: an `amount` that is
    not above zero, finer than the ledger's resolution, or would overflow the balance; an `effective_at` in the past;
    an `expires_at` that is not after it; `rolls_over` without `recurs`.
    """
    subscription = read_subscriptions(transaction, [wanted.subscription_id]).get(wanted.subscription_id)
    book = CreditBook(transaction, [wanted.subscription_id], gives_back=False)
    account = book.accounts.get(wanted.subscription_id)
    if subscription is None or account is None or account.application_id != wanted.application_id:
        raise NotFound("subscription", wanted.subscription_id)
    given = find_grant(transaction, wanted.subscription_id, wanted.caller_id)
    if given is not None:
        return given
    if not wanted.is_paid_for and count_live_grants(transaction, wanted.subscription_id) >= MAX_GRANTS:
        raise InvalidInput.of("subscription_id", f"has {MAX_GRANTS} grants that are not used up, which is the most")
    grant = _grant(wanted, subscription, grant_id=new_id("grn"), now=now)
    if account.balance + grant.amount + grant.rolls_over > MAX_LEDGER_UNITS:
        raise InvalidInput.of("amount", "would make the balance larger than the ledger can hold")
    row = GrantRow(
        application_id=wanted.application_id,
        subscription_id=wanted.subscription_id,
        caller_id=wanted.caller_id,
        created_at=now,
        kept=KeptGrant(grant=grant, description=wanted.description),
    )
    add_grant(transaction, row)
    book.credits[wanted.subscription_id].add(row.kept)
    book.cross(wanted.subscription_id, now)
    book.save()
    refresh_accounts(transaction, subscription_ids=[wanted.subscription_id], now=now)
    reach(CREDIT_GIVEN)
    return row


def _grant(wanted: NewGrant, subscription: Subscription, *, grant_id: str, now: datetime) -> Grant:
    effective_at = wanted.effective_at or now
    if effective_at < now:
        raise InvalidInput.of("effective_at", f"must not be in the past; it is {now.isoformat()}")
    if wanted.expires_at is not None and wanted.expires_at <= effective_at:
        raise InvalidInput.of("expires_at", "must be after the grant begins")
    if wanted.rolls_over and wanted.recurs is None:
        raise InvalidInput.of("rolls_over", "is for grants that recur; this one does not")
    return Grant(
        grant_id=grant_id,
        amount=ledger_units("amount", wanted.amount, subscription),
        kind=wanted.kind,
        effective_at=effective_at,
        sequence=to_microseconds(now),
        priority=wanted.priority,
        expires_at=wanted.expires_at,
        recurs=wanted.recurs,
        rolls_over=ledger_units("rolls_over", wanted.rolls_over, subscription) if wanted.rolls_over else 0,
    )


def ledger_units(field: str, amount: Decimal, subscription: Subscription) -> int:
    """Return an amount above zero in ledger units; `InvalidInput` names the field where it is none."""
    if not amount.is_finite() or amount <= 0:
        raise InvalidInput.of(field, "must be above zero, for example '10.00'")
    units = to_ledger_units(amount, subscription.currency)
    if from_ledger_units(units, subscription.currency) != amount:
        raise InvalidInput.of(field, f"has more than {subscription.currency.ledger_places} decimal places")
    return units
