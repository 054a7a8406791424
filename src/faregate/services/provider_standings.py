"""Take over how an object stands at the billing provider: what it says decides who is blocked, and when things end."""

from __future__ import annotations

from datetime import datetime

from faregate.domain.billing.overdue import invoice_overdue_from, subscription_overdue_from
from faregate.domain.billing.provider_links import LinkKind
from faregate.domain.billing.standing import InvoiceStanding, SubscriptionStanding
from faregate.services.adopt_subscription import adopt_subscription
from faregate.services.change import Change
from faregate.services.membership import refresh_membership
from faregate.services.subscriptions import move_end
from faregate.storage.billing import set_invoice_status
from faregate.storage.database import Transaction
from faregate.storage.provider_links import find_linked
from faregate.storage.provider_standings import (
    CompanyPlace,
    keep_invoice_standing,
    keep_subscription_standing,
    read_subscription_end,
)
from faregate.storage.subscriptions import find_subscription


def take_invoice(transaction: Transaction, change: Change, *, company: CompanyPlace, invoice: InvoiceStanding) -> str:
    """Keep how an invoice stands, ours or not, and block or let in its company; return what came of it."""
    overdue_from = invoice_overdue_from(invoice, seen_at=change.now)
    keep_invoice_standing(transaction, company, invoice, overdue_from=overdue_from)
    if invoice.status is not None:
        set_invoice_status(transaction, invoice.invoice_id, invoice.status, paid_at=invoice.paid_at)
    _refresh(transaction, change, company)
    stands = "draft" if invoice.status is None else invoice.status.value
    return f"invoice of {company.company_id} is {stands}{_since(overdue_from, change.now)}"


def take_subscription(
    transaction: Transaction,
    change: Change,
    *,
    company: CompanyPlace,
    subscription: SubscriptionStanding,
    account: str,
) -> str:
    """Keep how a subscription stands; block or let in its company, and end ours where it was cancelled there."""
    ours = _our_subscription(transaction, company, subscription, account=account) or adopt_subscription(
        transaction, change, company=company, standing=subscription, account=account
    )
    ended_before = read_subscription_end(transaction, subscription.provider_subscription_id)
    overdue_from = subscription_overdue_from(subscription, seen_at=change.now)
    keep_subscription_standing(transaction, company, subscription, subscription_id=ours, overdue_from=overdue_from)
    ends_at = subscription.ended_at or subscription.cancel_at
    # Only what was changed there since it was last read: an end that was set here is not undone by an old answer.
    if ours is not None and ends_at != ended_before:
        move_end(transaction, change, subscription_id=ours, ends_at=ends_at)
    _refresh(transaction, change, company)
    of = "not one of ours" if ours is None else f"{ours} of {company.company_id}"
    return f"subscription ({of}) is {subscription.status}"


def _our_subscription(
    transaction: Transaction, company: CompanyPlace, subscription: SubscriptionStanding, *, account: str
) -> str | None:
    linked = find_linked(
        transaction,
        account=account,
        kind=LinkKind.SUBSCRIPTION,
        provider_id=subscription.provider_subscription_id,
    )
    our_id = linked[0].our_id if linked else subscription.faregate_id
    row = find_subscription(transaction, company.application_id, our_id)
    return None if row is None else our_id


def _refresh(transaction: Transaction, change: Change, company: CompanyPlace) -> None:
    refresh_membership(
        transaction, application_id=company.application_id, company_ids=[company.company_id], now=change.now
    )


def _since(overdue_from: datetime | None, now: datetime) -> str:
    if overdue_from is None:
        return ""
    return ", overdue" if overdue_from <= now else f", overdue from {overdue_from.isoformat()}"
