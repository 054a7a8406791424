"""Pages of the billing provider where credit and subscriptions are bought, and what came of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, update

from faregate.domain.billing.provider_checkout import CheckoutMode, CheckoutPhase, CheckoutStanding
from faregate.domain.customers.subscription import Pays
from faregate.storage.database import Transaction
from faregate.storage.tables import checkout


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutRow:
    """A page. `amount` in ledger units, zero for a subscription; `subscription_id`: the account, or the one to make.

    `grant_id`: the credit that was bought; `session_id`, `url` and `expires_at` are the provider's.
    """

    checkout_id: str
    application_id: str
    caller_id: str
    company_id: str
    mode: CheckoutMode
    subscription_id: str
    plan_id: str
    pays: Pays
    currency: str
    amount: int
    success_url: str
    cancel_url: str
    phase: CheckoutPhase
    session_id: str | None
    url: str | None
    expires_at: datetime | None
    grant_id: str | None
    created_at: datetime


def add_checkout(transaction: Transaction, row: CheckoutRow) -> None:
    """Write a new page."""
    transaction.execute(insert(checkout).values(**asdict(row)))


def find_checkout(transaction: Transaction, checkout_id: str) -> CheckoutRow | None:
    """Return a page."""
    return next(iter(_checkouts(transaction, checkout.c.checkout_id == checkout_id)), None)


def find_checkout_of_caller(transaction: Transaction, application_id: str, caller_id: str) -> CheckoutRow | None:
    """Return the page that was asked for under the caller's id."""
    columns = checkout.c
    found = _checkouts(transaction, columns.application_id == application_id, columns.caller_id == caller_id)
    return next(iter(found), None)


def find_checkout_of_subscription(transaction: Transaction, subscription_id: str) -> CheckoutRow | None:
    """Return the page where a subscription was ordered under this id of ours."""
    columns = checkout.c
    found = _checkouts(
        transaction,
        columns.subscription_id == subscription_id,
        columns.mode == CheckoutMode.SUBSCRIPTION.value,
    )
    return next(iter(found), None)


def list_checkouts(
    transaction: Transaction, application_id: str, company_id: str, *, after: str, limit: int
) -> list[CheckoutRow]:
    """Return a company's pages, oldest first, from the first one after the id `after`."""
    columns = checkout.c
    return _checkouts(
        transaction,
        columns.application_id == application_id,
        columns.company_id == company_id,
        columns.checkout_id > after,
        limit=limit,
    )


def open_top_up_pages(transaction: Transaction, subscription_id: str) -> list[CheckoutRow]:
    """Return the pages where credit of an account can be paid for now."""
    columns = checkout.c
    return _checkouts(
        transaction,
        columns.phase == CheckoutPhase.OPEN.value,
        columns.subscription_id == subscription_id,
        columns.mode == CheckoutMode.TOP_UP.value,
    )


def is_page_in_the_way(transaction: Transaction, subscription_id: str, *, opening_since: datetime) -> bool:
    """Return whether credit of an account can be paid for at a page, or at one that was ordered since an instant."""
    columns = checkout.c
    opening = and_(columns.phase == CheckoutPhase.OPENING.value, columns.created_at >= opening_since)
    statement = select(columns.checkout_id).where(
        columns.subscription_id == subscription_id,
        columns.mode == CheckoutMode.TOP_UP.value,
        or_(columns.phase == CheckoutPhase.OPEN.value, opening),
    )
    return transaction.execute(statement.limit(1)).first() is not None


def keep_standing(
    transaction: Transaction, checkout_id: str, standing: CheckoutStanding, *, grant_id: str | None
) -> None:
    """Keep how a page stands, and the credit that it sold."""
    transaction.execute(
        update(checkout)
        .where(checkout.c.checkout_id == checkout_id)
        .values(
            phase=standing.phase.value,
            session_id=standing.session_id,
            url=standing.url,
            expires_at=standing.expires_at,
            grant_id=grant_id,
        )
    )


def _checkouts(
    transaction: Transaction, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[CheckoutRow]:
    statement = select(checkout).where(*conditions).order_by(checkout.c.checkout_id).limit(limit)
    return [_checkout(row) for row in transaction.execute(statement)]


def _checkout(row: Row[tuple[object, ...]]) -> CheckoutRow:
    typed = {"mode": CheckoutMode(row.mode), "pays": Pays(row.pays), "phase": CheckoutPhase(row.phase)}
    return CheckoutRow(**(row._asdict() | typed))
