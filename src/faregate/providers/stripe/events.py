"""Stripe's events, and the objects that they name as they stand now.

Sources: https://docs.stripe.com/api/events/list and the pages of the objects; periods stand on a subscription's items.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from faregate.base.errors import NotFound, Unavailable
from faregate.domain.billing.invoice import InvoiceStatus
from faregate.domain.billing.provider_checkout import CheckoutStanding
from faregate.domain.billing.provider_events import ProviderEvent
from faregate.domain.billing.provider_usage import MeterError
from faregate.domain.billing.standing import (
    ChargeStanding,
    Collection,
    CustomerStanding,
    DisputePhase,
    DisputeStanding,
    InvoiceStanding,
    RefundStanding,
    SubscriptionStanding,
)
from faregate.providers.stripe.checkout import read_checkout
from faregate.providers.stripe.client import asked, first_key
from faregate.providers.stripe.shapes import every, from_page, from_seconds, our_id_of, to_seconds

if TYPE_CHECKING:
    from stripe import (
        Customer,
        Event,
        Invoice,
        ListObject,
        Product,
        Refund,
        StripeClient,
        StripeObject,
        Subscription,
    )
    from stripe.params import EventListParams, RefundListParams

_DRAFT: Final = "draft"
_SUCCEEDED: Final = "succeeded"
_ENDED: Final = frozenset({_SUCCEEDED, "failed", "canceled"})
_PHASES: Final = {
    "needs_response": DisputePhase.OPEN,
    "under_review": DisputePhase.OPEN,
    "won": DisputePhase.WON,
    "lost": DisputePhase.LOST,
}
"""All others take no money: inquiries, and disputes that were prevented."""


class StripeReadings:
    """Reads one account; see `ProviderReadings`. `client`: made by the first call."""

    def __init__(self, client: Callable[[], StripeClient], *, account: Callable[[], str]) -> None:
        self._client = client
        self._account = account

    def account(self) -> str:
        """Return the account that the key is of."""
        return self._account()

    def events_since(self, since: datetime) -> list[ProviderEvent]:
        """Return the events of an instant and later, all pages of them."""
        client = self._client()

        def listed(after: str | None) -> ListObject[Event]:
            wanted: dict[str, Any] = {"created": {"gte": to_seconds(since)}, **from_page(after)}
            return client.v1.events.list(cast("EventListParams", wanted))

        return [_event(event) for event in every(listed)]

    def read_customer(self, customer_id: str) -> CustomerStanding:
        """Return a customer, a deleted one too."""
        customer = asked(lambda: self._client().v1.customers.retrieve(customer_id))
        if getattr(customer, "deleted", False):
            return CustomerStanding(customer_id=customer.id, faregate_id="", name="", is_deleted=True)
        return CustomerStanding(customer_id=customer.id, faregate_id=our_id_of(customer), name=_name(customer))

    def read_invoice(self, invoice_id: str) -> InvoiceStanding:
        """Return an invoice."""
        return _invoice(asked(lambda: self._client().v1.invoices.retrieve(invoice_id)))

    def read_subscription(self, provider_subscription_id: str) -> SubscriptionStanding:
        """Return a subscription, one that ended too."""
        return _subscription(asked(lambda: self._client().v1.subscriptions.retrieve(provider_subscription_id)))

    def read_charge(self, charge_id: str) -> ChargeStanding:
        """Return a payment, with the refunds of it that have ended: one that is under way may still fail."""
        v1 = self._client().v1
        charge = asked(lambda: v1.charges.retrieve(charge_id, {"expand": ["payment_intent"]}))

        def listed(after: str | None) -> ListObject[Refund]:
            return v1.refunds.list(cast("RefundListParams", {"charge": charge_id, **from_page(after)}))

        return ChargeStanding(
            charge_id=charge.id,
            faregate_id=our_id_of(charge) or our_id_of(charge.payment_intent),
            currency=charge.currency.upper(),
            refunds=tuple(
                RefundStanding(refund_id=refund.id, amount=refund.amount, has_failed=refund.status != _SUCCEEDED)
                for refund in every(listed)
                if refund.status in _ENDED
            ),
        )

    def read_refunded(self, refund_id: str) -> ChargeStanding:
        """Return the payment that a refund is of."""
        refund = asked(lambda: self._client().v1.refunds.retrieve(refund_id))
        charge_id = id_of(refund.charge)
        if not charge_id:
            raise NotFound("payment of refund", refund_id)
        return self.read_charge(charge_id)

    def read_dispute(self, dispute_id: str) -> DisputeStanding:
        """Return a dispute."""
        v1 = self._client().v1
        dispute = asked(lambda: v1.disputes.retrieve(dispute_id, {"expand": ["payment_intent"]}))
        return DisputeStanding(
            dispute_id=dispute.id,
            faregate_id=our_id_of(dispute.payment_intent),
            currency=dispute.currency.upper(),
            amount=dispute.amount,
            phase=_PHASES.get(dispute.status, DisputePhase.INQUIRY),
        )

    def read_checkout(self, session_id: str) -> CheckoutStanding:
        """Return a page where something is bought."""
        return read_checkout(self._client(), session_id)

    def read_meter_errors(self, event_id: str) -> list[MeterError]:
        """Return the samples of a thin event's error report; what it names is an idempotency key."""
        event = asked(lambda: self._client().v2.core.events.retrieve(event_id)).to_dict()
        found = []
        for kind in event.get("data", {}).get("reason", {}).get("error_types", []):
            for sample in kind.get("sample_errors", []):
                error = MeterError(
                    identifier=first_key(sample["request"]["identifier"]),
                    code=kind["code"],
                    message=sample.get("error_message", ""),
                )
                found.append(error)
        return found


def id_of(expandable: str | StripeObject | None) -> str:
    """Return an object's id, whether it is expanded or not."""
    if expandable is None:
        return ""
    return expandable if isinstance(expandable, str) else str(getattr(expandable, "id", ""))


def _event(event: Event) -> ProviderEvent:
    return ProviderEvent(
        event_id=event.id,
        kind=event.type,
        object_id=str(getattr(event.data.object, "id", "")),
        is_live=event.livemode,
        created_at=from_seconds(event.created),
    )


def _invoice(invoice: Invoice) -> InvoiceStanding:
    paid_at = invoice.status_transitions.paid_at
    return InvoiceStanding(
        invoice_id=_identified(invoice.id),
        customer_id=id_of(invoice.customer),
        number=invoice.number,
        currency=invoice.currency.upper(),
        status=None if invoice.status in {None, _DRAFT} else InvoiceStatus(invoice.status),
        collection=Collection(invoice.collection_method),
        amount_due=invoice.amount_due,
        amount_paid=invoice.amount_paid,
        amount_remaining=invoice.amount_remaining,
        attempts=invoice.attempt_count if invoice.attempted else 0,
        created_at=from_seconds(invoice.created),
        due_at=_instant_or_none(invoice.due_date),
        paid_at=_instant_or_none(paid_at),
        page_url=getattr(invoice, "hosted_invoice_url", None),
    )


def _subscription(subscription: Subscription) -> SubscriptionStanding:
    products: list[str | Product] = [item.price.product for item in subscription["items"].data]
    return SubscriptionStanding(
        provider_subscription_id=subscription.id,
        customer_id=id_of(subscription.customer),
        faregate_id=our_id_of(subscription),
        status=subscription.status,
        product_ids=tuple(dict.fromkeys(id_of(product) for product in products)),
        currency=subscription.currency.upper(),
        started_at=from_seconds(subscription.start_date),
        trial_ends_at=_instant_or_none(subscription.trial_end),
        cancel_at=_instant_or_none(subscription.cancel_at) or _end_of_period(subscription),
        ended_at=_instant_or_none(subscription.ended_at),
        collection=Collection(subscription.collection_method),
        days_until_due=subscription.days_until_due,
    )


def _end_of_period(subscription: Subscription) -> datetime | None:
    """Return when a subscription ends that is to end with its period."""
    if not subscription.cancel_at_period_end:
        return None
    return max(from_seconds(item.current_period_end) for item in subscription["items"].data)


def _name(customer: Customer) -> str:
    return getattr(customer, "name", None) or getattr(customer, "email", None) or ""


def _instant_or_none(seconds: int | None) -> datetime | None:
    return None if seconds is None else from_seconds(seconds)


def _identified(identifier: str | None) -> str:
    if identifier is None:
        raise Unavailable("Stripe answered with an object that has no id")
    return identifier
