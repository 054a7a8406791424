"""From when on somebody owes money too long: the rule by which a company is blocked, for every invoice of a customer.

Source: https://docs.stripe.com/api/invoices/object and https://docs.stripe.com/billing/subscriptions/overview. A
customer's `delinquent` says less, and `invoice.overdue` comes only where somebody has set an automation up.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.standing import Collection, InvoiceStanding, SubscriptionStanding

_UNPAID: Final = frozenset({"past_due", "unpaid"})


def invoice_overdue_from(invoice: InvoiceStanding, *, seen_at: datetime) -> datetime | None:
    """Return the instant from which an invoice is overdue, which may be ahead; None where nothing makes it so.

    An uncollectible one, and one whose automatic payment was tried and failed, is so from `seen_at`, when it was found
    so; an open one that was sent, from its due time.
    """
    if invoice.status is InvoiceStatus.UNCOLLECTIBLE:
        return seen_at
    if invoice.status is not InvoiceStatus.OPEN or invoice.amount_remaining <= 0:
        return None
    if invoice.collection is Collection.SEND_INVOICE:
        return invoice.due_at
    return seen_at if invoice.attempts > 0 else None


def subscription_overdue_from(subscription: SubscriptionStanding, *, seen_at: datetime) -> datetime | None:
    """Return `seen_at` where the provider found that the subscription is not paid for; None where it is."""
    return seen_at if subscription.status in _UNPAID else None
