"""What coupons take off an invoice, from the period's end to the ledger.

The account is debited in full while a period runs: a coupon comes off its invoice, so a `discount` entry gives it back
when the invoice is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from faregate.base.clock import to_microseconds
from faregate.base.money import minor_to_ledger_units
from faregate.base.periods import Period
from faregate.domain.billing.coupons import FixedCoupon, PercentCoupon, period_discounts
from faregate.domain.billing.invoice import Invoice, InvoiceDiscount
from faregate.domain.customers.subscription import Subscription
from faregate.services.posting import post_entry
from faregate.services.provider_messages import ExpectedDiscount
from faregate.storage.coupons import count_use, coupons_of_subscription
from faregate.storage.database import Transaction
from faregate.storage.ledger import EntryKind, NewEntry


def expected_discounts(
    transaction: Transaction,
    subscription_id: str,
    period: Period,
    *,
    subtotal: int,
    ahead: Iterable[ExpectedDiscount] = (),
) -> tuple[ExpectedDiscount, ...]:
    """Return what each coupon that covers the period takes off `subtotal` minor units; nothing is written.

    `ahead`: discounts of earlier periods that are not counted yet, for a preview.
    """
    uses = Counter(discount.redemption_id for discount in ahead if discount.amount)
    given = [
        replace(coupon, used=coupon.used + uses[coupon.redemption_id])
        for coupon in coupons_of_subscription(transaction, subscription_id)
    ]
    return tuple(
        ExpectedDiscount(
            redemption_id=discount.coupon.redemption_id,
            coupon_id=discount.coupon.offer.coupon_id,
            name=discount.coupon.offer.name,
            percent_off=off.percent if isinstance(off := discount.coupon.offer.off, PercentCoupon) else None,
            amount_off=off.amount if isinstance(off, FixedCoupon) else None,
            amount=discount.amount,
        )
        for discount in period_discounts(subtotal, given, period)
    )


def use_coupons(transaction: Transaction, discounts: Sequence[ExpectedDiscount]) -> None:
    """Count a period for every coupon that takes something off: once, as the period is frozen."""
    count_use(transaction, [discount.redemption_id for discount in discounts if discount.amount])


def invoice_discounts(discounts: Sequence[ExpectedDiscount]) -> tuple[InvoiceDiscount, ...]:
    """Return what the invoice shows: the coupons that took something off."""
    return tuple(
        InvoiceDiscount(
            redemption_id=discount.redemption_id,
            coupon_id=discount.coupon_id,
            name=discount.name,
            amount=discount.amount,
        )
        for discount in discounts
        if discount.amount
    )


def post_discounts(
    transaction: Transaction, application_id: str, *, subscription: Subscription, invoice: Invoice
) -> None:
    """Give back to the account, which was debited in full, what coupons took off the invoice."""
    for discount in invoice.discounts:
        post_entry(
            transaction,
            NewEntry(
                application_id=application_id,
                subscription_id=subscription.subscription_id,
                kind=EntryKind.DISCOUNT,
                amount=minor_to_ledger_units(discount.amount, subscription.currency),
                caller_id=f"discount:{discount.redemption_id}:{to_microseconds(invoice.period.start)}",
                description=f"coupon {discount.coupon_id} on invoice {invoice.number}",
                occurred_at=invoice.issued_at,
                period_start=invoice.period.start,
            ),
        )
