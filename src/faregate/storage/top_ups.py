"""When accounts top themselves up, and the payments that came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, delete, insert, or_, select, update

from faregate.domain.billing.provider_checkout import CheckoutMode, CheckoutPhase
from faregate.domain.billing.top_up import EarlierTopUp, TopUpStatus, TopUpTerms
from faregate.storage.database import Transaction
from faregate.storage.tables import account, auto_top_up, checkout, top_up
from faregate.storage.upsert import upsert

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpRow:
    """One payment for credit. `amount` in ledger units; `failure`: why it failed; `grant_id`: the credit it bought.

    Began and ended in business time; `retry_at`, of a payment whose outcome is not known yet, on the wall clock.
    """

    top_up_id: str
    application_id: str
    subscription_id: str
    amount: int
    status: TopUpStatus
    failure: str | None
    grant_id: str | None
    began_at: datetime
    ended_at: datetime | None
    attempts: int
    retry_at: datetime | None

    @property
    def earlier(self) -> EarlierTopUp:
        """Return what later decisions need of it."""
        return EarlierTopUp(amount=self.amount, status=self.status, began_at=self.began_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoughtGrant:
    """Credit that a payment has bought."""

    application_id: str
    subscription_id: str
    grant_id: str


def find_bought(transaction: Transaction, faregate_id: str) -> BoughtGrant | None:
    """Return the credit that a payment under our id has bought, if it did."""
    for columns, our_id in ((top_up.c, top_up.c.top_up_id), (checkout.c, checkout.c.checkout_id)):
        statement = select(columns.application_id, columns.subscription_id, columns.grant_id).where(
            our_id == faregate_id, columns.grant_id.is_not(None)
        )
        row = transaction.execute(statement).first()
        if row is not None:
            return BoughtGrant(**row._asdict())
    return None


def is_being_bought(transaction: Transaction, faregate_id: str) -> bool:
    """Return whether credit is on its way for a payment under our id: a top-up under way, or a page that sells it."""
    pending = select(top_up.c.top_up_id).where(
        top_up.c.top_up_id == faregate_id, top_up.c.status == TopUpStatus.PENDING.value
    )
    page = select(checkout.c.checkout_id).where(
        checkout.c.checkout_id == faregate_id,
        checkout.c.mode == CheckoutMode.TOP_UP.value,
        checkout.c.grant_id.is_(None),
        checkout.c.phase.not_in([CheckoutPhase.EXPIRED.value, CheckoutPhase.FAILED.value]),
    )
    return any(transaction.execute(wanted).first() is not None for wanted in (pending, page))


def set_terms(transaction: Transaction, terms: TopUpTerms, *, application_id: str, subscription_id: str) -> None:
    """Keep an account's terms in place of earlier ones."""
    row = {
        "subscription_id": subscription_id,
        "application_id": application_id,
        "below": terms.below,
        "amount": terms.amount,
        "most": terms.most,
        "cool_off_us": terms.cool_off // _MICROSECOND,
        "set_at": terms.set_at,
    }
    upsert(transaction, auto_top_up, [row])


def find_terms(transaction: Transaction, subscription_id: str) -> TopUpTerms | None:
    """Return an account's terms, if it tops itself up."""
    statement = select(auto_top_up).where(auto_top_up.c.subscription_id == subscription_id)
    row = transaction.execute(statement).first()
    return None if row is None else _terms(row)


def remove_terms(transaction: Transaction, subscription_id: str) -> bool:
    """Forget an account's terms; return whether it had any."""
    statement = delete(auto_top_up).where(auto_top_up.c.subscription_id == subscription_id)
    return transaction.execute(statement).rowcount > 0


def balances_below(transaction: Transaction, application_id: str) -> dict[str, int]:
    """Return the balances that are below their account's threshold, by subscription, in ledger units."""
    statement = (
        select(account.c.subscription_id, account.c.balance)
        .join(auto_top_up, account.c.subscription_id == auto_top_up.c.subscription_id)
        .where(auto_top_up.c.application_id == application_id, account.c.balance < auto_top_up.c.below)
        .order_by(account.c.subscription_id)
    )
    return {row.subscription_id: row.balance for row in transaction.execute(statement)}


def add_top_up(transaction: Transaction, row: TopUpRow) -> None:
    """Write a new top-up."""
    transaction.execute(insert(top_up).values(**asdict(row)))


def find_top_up(transaction: Transaction, top_up_id: str) -> TopUpRow | None:
    """Return a top-up, locked where the database has row locks."""
    row = transaction.execute(select(top_up).where(top_up.c.top_up_id == top_up_id).with_for_update()).first()
    return None if row is None else _top_up(row)


def list_top_ups(
    transaction: Transaction, subscription_id: str, *, after: str = "", limit: int | None = None
) -> list[TopUpRow]:
    """Return an account's top-ups, oldest first, from the first one after the id `after`."""
    statement = (
        select(top_up)
        .where(top_up.c.subscription_id == subscription_id, top_up.c.top_up_id > after)
        .order_by(top_up.c.top_up_id)
        .limit(limit)
    )
    return [_top_up(row) for row in transaction.execute(statement)]


def top_ups_since(transaction: Transaction, subscription_id: str, *, began: datetime, last: int) -> list[TopUpRow]:
    """Return an account's top-ups that began after an instant, and the `last` ones in any case, oldest first."""
    own = top_up.c.subscription_id == subscription_id
    latest = select(top_up.c.top_up_id).where(own).order_by(top_up.c.top_up_id.desc()).limit(last)
    statement = (
        select(top_up)
        .where(own, or_(top_up.c.began_at > began, top_up.c.top_up_id.in_(latest)))
        .order_by(top_up.c.top_up_id)
    )
    return [_top_up(row) for row in transaction.execute(statement)]


def pending_top_ups(transaction: Transaction, *, now: datetime, limit: int) -> list[TopUpRow]:
    """Return top-ups whose outcome is to be asked for now, on the wall clock, oldest first."""
    statement = (
        select(top_up)
        .where(top_up.c.status == TopUpStatus.PENDING.value, or_(top_up.c.retry_at.is_(None), top_up.c.retry_at <= now))
        .order_by(top_up.c.top_up_id)
        .limit(limit)
    )
    return [_top_up(row) for row in transaction.execute(statement)]


def has_pending_top_up(transaction: Transaction, subscription_id: str) -> bool:
    """Return whether a payment for the account's credit is under way."""
    statement = select(top_up.c.top_up_id).where(
        top_up.c.status == TopUpStatus.PENDING.value, top_up.c.subscription_id == subscription_id
    )
    return transaction.execute(statement).first() is not None


def end_top_up(
    transaction: Transaction,
    top_up_id: str,
    *,
    status: TopUpStatus,
    at: datetime,
    failure: str | None = None,
    grant_id: str | None = None,
) -> None:
    """Record what became of a payment."""
    transaction.execute(
        update(top_up)
        .where(top_up.c.top_up_id == top_up_id)
        .values(status=status.value, failure=failure, grant_id=grant_id, ended_at=at, retry_at=None)
    )


def postpone_top_up(transaction: Transaction, top_up_id: str, *, retry_at: datetime) -> None:
    """Count an attempt whose outcome is not known, and say when to ask again."""
    transaction.execute(
        update(top_up).where(top_up.c.top_up_id == top_up_id).values(attempts=top_up.c.attempts + 1, retry_at=retry_at)
    )


def _terms(row: Row[tuple[object, ...]]) -> TopUpTerms:
    return TopUpTerms(
        below=row.below,
        amount=row.amount,
        most=row.most,
        cool_off=timedelta(microseconds=row.cool_off_us),
        set_at=row.set_at,
    )


def _top_up(row: Row[tuple[object, ...]]) -> TopUpRow:
    fields = row._asdict()
    return TopUpRow(**(fields | {"status": TopUpStatus(row.status)}))
