"""How things stand at the billing provider, as it said when it was last asked; ids and amounts are its own.

Amounts are in minor units. A `faregate_id` is what we wrote to the object; empty where somebody else made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from faregate.domain.billing.invoice import InvoiceStatus


class Collection(StrEnum):
    """Who begins a payment: the provider, from the method that it keeps, or the customer, who is sent the invoice."""

    CHARGE_AUTOMATICALLY = "charge_automatically"
    SEND_INVOICE = "send_invoice"


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerStanding:
    """A customer; all but the id is empty where it was deleted."""

    customer_id: str
    faregate_id: str
    name: str
    is_deleted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceStanding:
    """An invoice; `status` is None while it is a draft. `page_url`: where the customer sees and pays it."""

    invoice_id: str
    customer_id: str
    number: str | None
    currency: str
    status: InvoiceStatus | None
    collection: Collection
    amount_due: int
    amount_paid: int
    amount_remaining: int
    attempts: int
    created_at: datetime
    due_at: datetime | None
    paid_at: datetime | None
    page_url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionStanding:
    """A subscription; `status` is the provider's word. It ended at `ended_at`, or is going to at `cancel_at`."""

    provider_subscription_id: str
    customer_id: str
    faregate_id: str
    status: str
    product_ids: tuple[str, ...]
    currency: str
    started_at: datetime
    trial_ends_at: datetime | None
    cancel_at: datetime | None
    ended_at: datetime | None
    collection: Collection
    days_until_due: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundStanding:
    """Money that has gone back to the customer, or came back after all: `has_failed`."""

    refund_id: str
    amount: int
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeStanding:
    """A payment that was taken, and what of it went back; `faregate_id`: our id of what was bought."""

    charge_id: str
    faregate_id: str
    currency: str
    refunds: tuple[RefundStanding, ...]


class DisputePhase(StrEnum):
    """An `inquiry` has taken no money; an `open` dispute has, until it is `won`; a `lost` one for good."""

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeStanding:
    """A payment that the customer's bank wants back; `faregate_id`: our id of what was bought."""

    dispute_id: str
    faregate_id: str
    currency: str
    amount: int
    phase: DisputePhase
