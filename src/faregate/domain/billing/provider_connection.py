"""The connection to the billing provider: whose account it is, and what the key may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

WEBHOOK_EVENTS: Final = (
    "billing.meter.created",
    "billing.meter.deactivated",
    "billing.meter.reactivated",
    "billing.meter.updated",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.funds_reinstated",
    "charge.dispute.funds_withdrawn",
    "charge.refunded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.created",
    "customer.deleted",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.created",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.overdue",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.voided",
    "price.created",
    "price.deleted",
    "price.updated",
    "product.created",
    "product.deleted",
    "product.updated",
    "refund.failed",
    "refund.updated",
)
"""What the provider is asked to tell of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """One thing that Faregate does at the provider, and whether the key may. `fault`: the provider's words, if not."""

    name: str
    is_granted: bool
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Whose account the key is of, its mode, and what it may do. `account` is empty where it may not be read."""

    account: str
    name: str
    is_live: bool
    permissions: tuple[Permission, ...]

    @property
    def is_enough(self) -> bool:
        """Return whether the key may do all that is needed."""
        return all(permission.is_granted for permission in self.permissions)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint:
    """An endpoint that the provider sends events to; `secret` is told at its making alone."""

    endpoint_id: str
    url: str
    secret: str | None = field(repr=False)


class ConnectedProvider(Protocol):
    """The calls that check and complete a connection. Errors as of `BillingProvider`."""

    def check(self) -> Connection:
        """Try each permission with a call that changes nothing; `ConfigurationError` for a key that is none."""

    def ensure_webhook(self, url: str) -> WebhookEndpoint:
        """Return the endpoint of this address, made now if need be, for `WEBHOOK_EVENTS` in the version we speak."""
