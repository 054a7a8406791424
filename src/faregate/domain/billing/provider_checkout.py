"""Pages of the billing provider that a customer is sent to: to buy credit, to subscribe, to look after what it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from faregate.domain.billing.provider import ProviderCustomer, ProviderPrice
from faregate.domain.billing.provider_links import ProviderLinks


class CheckoutMode(StrEnum):
    """What a page sells: credit of an account, or a subscription to a plan."""

    TOP_UP = "top_up"
    SUBSCRIPTION = "subscription"


class CheckoutPhase(StrEnum):
    """Where a page stands.

    `opening`: the provider has not answered yet. `processing`: the customer is done, the money is not there yet.
    `complete`: paid, or nothing to pay now. `failed`: the money did not come. `expired`: nobody can pay there any more.
    """

    OPENING = "opening"
    OPEN = "open"
    PROCESSING = "processing"
    COMPLETE = "complete"
    FAILED = "failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageUrls:
    """Where the customer goes from a page: done, or not."""

    success: str
    cancel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpPage:
    """A page that sells credit under our id of it; `amount` in minor units."""

    checkout_id: str
    customer: ProviderCustomer
    currency: str
    amount: int
    description: str
    urls: PageUrls


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionPage:
    """A page that sells a subscription, which gets our id `subscription_id`; its prices are metered."""

    checkout_id: str
    subscription_id: str
    customer: ProviderCustomer
    prices: tuple[ProviderPrice, ...]
    urls: PageUrls


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutStanding:
    """A page as it stands at the provider; `faregate_id` is our id of it, empty where somebody else made it."""

    session_id: str
    faregate_id: str
    phase: CheckoutPhase
    url: str | None
    expires_at: datetime
    provider_subscription_id: str


class ProviderCheckout(Protocol):
    """Calls that may be repeated: a page is made once under our id. `Unavailable`: repeating may help."""

    def open_top_up(self, wanted: TopUpPage, links: ProviderLinks) -> CheckoutStanding:
        """Make the page where credit is paid for."""

    def open_subscription(self, wanted: SubscriptionPage, links: ProviderLinks) -> CheckoutStanding:
        """Make the page where a plan is subscribed to."""

    def expire(self, session_id: str) -> CheckoutStanding:
        """Let nobody pay at a page any more, and return how it stands: what was paid before stays paid."""

    def open_portal(self, customer: ProviderCustomer, links: ProviderLinks, *, return_url: str) -> str:
        """Return the address, good for a short time, where a customer looks after payment methods and invoices."""
