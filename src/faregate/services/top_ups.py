"""Set when an account tops itself up, and begin what is due: a row that says so, committed before any payment."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from faregate.base.errors import InvalidInput, NotFound
from faregate.base.ids import IdSource
from faregate.base.limits import MAX_LEDGER_UNITS
from faregate.base.money import (
    Currency,
    from_ledger_units,
    from_minor_units,
    minor_to_ledger_units,
    to_ledger_units,
    to_minor_units,
)
from faregate.domain.billing.top_up import (
    LIMITED_OVER,
    MOST_FAILURES,
    TopUpPause,
    TopUpStatus,
    TopUpTerms,
    why_none_begins,
)
from faregate.domain.customers.subscription import Pays
from faregate.services.change import Change
from faregate.services.subscriptions import find_existing
from faregate.storage import top_ups as stored
from faregate.storage.database import Transaction
from faregate.storage.ledger import lock_accounts, read_account
from faregate.storage.metered import read_subscriptions
from faregate.storage.top_ups import TopUpRow
from faregate.wire.api.common import bounded, plain
from faregate.wire.api.top_ups import AutoTopUpSet, AutoTopUpView

_MINUTE: Final = timedelta(minutes=1)


def set_auto_top_up(
    transaction: Transaction, change: Change, request: AutoTopUpSet, *, subscription_id: str
) -> AutoTopUpView:
    """Let an account top itself up; earlier failures are forgiven.

    Raises `NotFound` for an unknown subscription and `InvalidInput` on what cannot be: a subscription that has no
    credit, an amount that is no whole number of minor units, a limit below the amount.
    """
    subscription = find_existing(transaction, change.application_id, subscription_id).subscription
    unit = subscription.currency
    if subscription.pays is Pays.POSTPAID:
        raise InvalidInput.of("subscription_id", "is postpaid, and has no credit to top up")
    amount = payable_units("amount", request.amount, unit)
    most = None if request.most_in_30_days is None else payable_units("most_in_30_days", request.most_in_30_days, unit)
    if most is not None and most < amount:
        raise InvalidInput.of("most_in_30_days", "is below one amount, so that nothing could be bought")
    terms = TopUpTerms(
        below=_units("below", request.below, unit),
        amount=amount,
        most=most,
        cool_off=request.cool_off_minutes * _MINUTE,
        set_at=change.now,
    )
    stored.set_terms(transaction, terms, application_id=change.application_id, subscription_id=subscription_id)
    return _view(transaction, subscription_id, terms, unit=unit, now=change.now)


def read_auto_top_up(
    transaction: Transaction, application_id: str, subscription_id: str, *, now: datetime
) -> AutoTopUpView:
    """Return when an account tops itself up; `NotFound` where it does not."""
    unit = find_existing(transaction, application_id, subscription_id).subscription.currency
    terms = stored.find_terms(transaction, subscription_id)
    if terms is None:
        raise NotFound("automatic top-up of subscription", subscription_id)
    return _view(transaction, subscription_id, terms, unit=unit, now=now)


def remove_auto_top_up(transaction: Transaction, change: Change, subscription_id: str) -> None:
    """Let an account top itself up no more; a payment under way is still taken. `NotFound` where it does not."""
    find_existing(transaction, change.application_id, subscription_id)
    if not stored.remove_terms(transaction, subscription_id):
        raise NotFound("automatic top-up of subscription", subscription_id)


def due_top_ups(transaction: Transaction, application_id: str, *, now: datetime) -> list[str]:
    """Return the subscriptions that one is due for at the business time `now`, as far as can be seen without a lock."""
    below = stored.balances_below(transaction, application_id)
    return [each for each, balance in below.items() if _due_terms(transaction, each, balance=balance, now=now)]


def begin_top_up(
    transaction: Transaction, application_id: str, subscription_id: str, *, new_id: IdSource, now: datetime
) -> TopUpRow | None:
    """Begin the top-up that is due at the business time `now`; None where none is."""
    account = lock_accounts(transaction, [subscription_id])[subscription_id]
    terms = _due_terms(transaction, subscription_id, balance=account.balance, now=now)
    if terms is None:
        return None
    row = TopUpRow(
        top_up_id=new_id("top"),
        application_id=application_id,
        subscription_id=subscription_id,
        amount=terms.amount,
        status=TopUpStatus.PENDING,
        failure=None,
        grant_id=None,
        began_at=now,
        ended_at=None,
        attempts=0,
        retry_at=None,
    )
    stored.add_top_up(transaction, row)
    return row


def _due_terms(transaction: Transaction, subscription_id: str, *, balance: int, now: datetime) -> TopUpTerms | None:
    """Return the terms by which a top-up is due; None where none is."""
    terms = stored.find_terms(transaction, subscription_id)
    subscription = read_subscriptions(transaction, [subscription_id])[subscription_id]
    if terms is None or not subscription.can_use(now):
        return None
    paused = _why_none(transaction, subscription_id, terms, balance=balance, now=now)
    return terms if paused is None else None


def _why_none(
    transaction: Transaction, subscription_id: str, terms: TopUpTerms, *, balance: int, now: datetime
) -> TopUpPause | None:
    rows = stored.top_ups_since(transaction, subscription_id, began=now - LIMITED_OVER, last=MOST_FAILURES)
    return why_none_begins(terms, balance=balance, earlier=[row.earlier for row in rows], now=now)


def _view(
    transaction: Transaction, subscription_id: str, terms: TopUpTerms, *, unit: Currency, now: datetime
) -> AutoTopUpView:
    balance = read_account(transaction, subscription_id).balance
    return AutoTopUpView(
        subscription_id=subscription_id,
        below=plain(from_ledger_units(terms.below, unit)),
        amount=plain(from_ledger_units(terms.amount, unit)),
        most_in_30_days=None if terms.most is None else plain(from_ledger_units(terms.most, unit)),
        cool_off_minutes=terms.cool_off // _MINUTE,
        currency=unit.code,
        set_at=terms.set_at,
        paused=_why_none(transaction, subscription_id, terms, balance=balance, now=now),
    )


def payable_units(field: str, amount: Decimal, unit: Currency) -> int:
    """Return an amount that a payment can be of, in ledger units; `InvalidInput` on the field for any other."""
    if not _fitting(field, amount, unit) > 0:
        raise InvalidInput.of(field, "must be above zero, for example '20.00'")
    minor = to_minor_units(amount, unit)
    if from_minor_units(minor, unit) != amount:
        raise InvalidInput.of(field, f"must have at most {unit.minor_places} decimal places: it is paid as it is")
    return minor_to_ledger_units(minor, unit)


def _units(field: str, amount: Decimal, unit: Currency) -> int:
    units = to_ledger_units(_fitting(field, amount, unit), unit)
    if amount < 0 or from_ledger_units(units, unit) != amount:
        raise InvalidInput.of(field, f"must be zero or more, with at most {unit.ledger_places} decimal places")
    return units


def _fitting(field: str, amount: Decimal, unit: Currency) -> Decimal:
    if abs(bounded(field, amount)) > from_ledger_units(MAX_LEDGER_UNITS, unit):
        raise InvalidInput.of(field, "is larger than the ledger can hold")
    return amount
