"""Checkout and portal pages of the billing provider on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.domain.billing.provider_checkout import CheckoutMode, CheckoutPhase
from faregate.domain.customers.subscription import Pays
from faregate.wire.api.common import END, DecimalText, Identifier, Instant

_PAGE_URL_PATTERN: Final = f"^https?://[^\\s\\x00]+{END}"

PageUrl = Annotated[str, Meta(max_length=2_000, pattern=_PAGE_URL_PATTERN, examples=["https://example.com/done"])]


class CheckoutCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page where the company buys credit (`top_up`) or subscribes to a plan (`subscription`).

    For a top-up, `amount` in major units and `subscription_id`, the account that gets the credit. For a subscription,
    `plan_id`, and how it `pays`. The customer is sent to `success_url` or `cancel_url`; neither says that it paid.
    """

    mode: CheckoutMode
    success_url: PageUrl
    cancel_url: PageUrl
    amount: Decimal | UnsetType = UNSET
    subscription_id: Identifier | UnsetType = UNSET
    plan_id: Identifier | UnsetType = UNSET
    pays: Pays = Pays.POSTPAID


class CheckoutView(Struct, frozen=True, kw_only=True):
    """A page: send the customer to `url`. `phase` says what came of it, `grant_id` which credit it has bought.

    `subscription_id`: the account, or the subscription that there is once the page is complete.
    """

    checkout_id: str
    company_id: str
    mode: CheckoutMode
    phase: CheckoutPhase
    subscription_id: str
    amount: DecimalText | None
    currency: str
    url: str | None
    expires_at: Instant | None
    grant_id: str | None
    created_at: Instant


class PortalCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A visit to the billing provider's portal; from there the customer goes to `return_url`."""

    return_url: PageUrl


class PortalView(Struct, frozen=True, kw_only=True):
    """Where the customer looks after payment methods and invoices; good for a short time, for whoever has it."""

    url: str
