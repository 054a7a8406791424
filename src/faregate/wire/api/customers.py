"""Companies, users, keys, subscriptions and grants on the wire."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.domain.customers.subscription import Pays
from faregate.wire.api.catalog import CurrencyCode
from faregate.wire.api.common import DecimalText, Identifier, Instant, Name, Text

PaymentTerms = Annotated[int, Meta(ge=0, le=365)]
"""Days from an invoice's issue to its due date."""


class CompanyCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A customer to add, under an id of your own; its name is the id where none is given."""

    company_id: Identifier
    name: Name | UnsetType = UNSET


class NameChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another name for a company or a user."""

    name: Name


class CompanyView(Struct, frozen=True, kw_only=True):
    """A customer."""

    company_id: str
    name: str
    created_at: Instant


class UserCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person or key holder to add to a company, under an id of your own."""

    user_id: Identifier
    company_id: Identifier
    name: Name | UnsetType = UNSET


class UserView(Struct, frozen=True, kw_only=True):
    """A person or key holder in a company."""

    user_id: str
    company_id: str
    name: str
    created_at: Instant


class KeyCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key to make. A `replay` key may date its calls (`x-faregate-occurred-at`): for replaying traces."""

    company_id: Identifier
    user_id: Identifier | None = None
    name: Text = ""
    replay: bool = False


class KeyView(Struct, frozen=True, kw_only=True):
    """An API key without its text; `hint` is the text's end."""

    key_id: str
    company_id: str
    user_id: str | None
    name: str
    hint: str
    replay: bool
    created_at: Instant
    revoked_at: Instant | None


class NewKeyView(Struct, frozen=True, kw_only=True):
    """A new API key. `key` is shown here and never again."""

    key_id: str
    key: str
    company_id: str
    user_id: str | None
    name: str
    hint: str
    replay: bool
    created_at: Instant


class SubscriptionCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A company to put on a plan.

    `pays`: `prepaid` stops at zero, `credit_first` uses credit and then invoices, `postpaid` invoices. `currency` is
    the plan's where none is given. `started_at` anchors the monthly periods; now, where none is given.
    """

    company_id: Identifier
    plan_id: Identifier
    pays: Pays
    currency: CurrencyCode | UnsetType = UNSET
    started_at: Instant | UnsetType = UNSET
    payment_terms_days: PaymentTerms = 30


class SubscriptionView(Struct, frozen=True, kw_only=True):
    """A company on a plan. `billed_until` is where its open period begins."""

    subscription_id: str
    company_id: str
    plan_id: str
    pays: Pays
    currency: str
    started_at: Instant
    payment_terms_days: int
    billed_until: Instant


class GrantKindShape(StrEnum):
    """Bought, or given away."""

    PAID = "paid"
    PROMOTIONAL = "promotional"


class GrantCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credit to give, in major units of the subscription's currency."""

    amount: Decimal
    kind: GrantKindShape = GrantKindShape.PAID
    description: Text = ""


class GrantView(Struct, frozen=True, kw_only=True):
    """Credit given to a subscription."""

    grant_id: str
    subscription_id: str
    amount: DecimalText
    currency: str
    kind: GrantKindShape
    description: str
    created_at: Instant
