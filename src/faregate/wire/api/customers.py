"""Companies, users, keys and subscriptions on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from faregate.base.periods import Alignment
from faregate.domain.catalog.price import BillingPeriod
from faregate.domain.customers.subscription import Pays
from faregate.wire.api.catalog import CurrencyCode
from faregate.wire.api.common import Identifier, Instant, Name, Text

TimeZone = Annotated[str, Meta(min_length=1, max_length=64, examples=["America/New_York"])]
"""A name of the IANA time zone database."""

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
    the plan's where none is given. `started_at` anchors the periods; now, where none is given. They are as long as the
    plan's prices say, and run on the wall clock of `time_zone`: from the anchor's day and hour, or (`calendar`) with
    the calendar's days, weeks and months. A trial is free; the paid periods begin where it ends.
    """

    company_id: Identifier
    plan_id: Identifier
    pays: Pays
    currency: CurrencyCode | UnsetType = UNSET
    started_at: Instant | UnsetType = UNSET
    payment_terms_days: PaymentTerms = 30
    time_zone: TimeZone = "UTC"
    alignment: Alignment = Alignment.ANNIVERSARY
    trial_ends_at: Instant | UnsetType = UNSET


class SubscriptionCancel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a subscription is to end: `now`, or with its open period (`period_end`)."""

    at: Literal["now", "period_end"] = "period_end"


class PauseView(Struct, frozen=True, kw_only=True):
    """A time in which nothing could be used; `end` is null while it lasts."""

    start: Instant
    end: Instant | None


class SubscriptionView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A company on a plan. `billed_until` is where its open period begins."""

    subscription_id: str
    company_id: str
    plan_id: str
    pays: Pays
    currency: str
    started_at: Instant
    payment_terms_days: int
    billed_until: Instant
    period: BillingPeriod = BillingPeriod.MONTH
    time_zone: str = "UTC"
    alignment: Alignment = Alignment.ANNIVERSARY
    trial_ends_at: Instant | None = None
    ends_at: Instant | None = None
    pauses: list[PauseView] = []
