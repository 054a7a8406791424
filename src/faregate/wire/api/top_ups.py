"""Automatic top-ups and payment methods on the wire."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from faregate.domain.billing.top_up import TopUpPause, TopUpStatus
from faregate.wire.api.common import DecimalText, Instant

PaymentMethod = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[A-Za-z0-9_]+$", examples=["pm_card_visa"])]


class PaymentMethodSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The billing provider's id of a payment method; the sandbox takes test methods such as `pm_card_visa`."""

    payment_method: PaymentMethod


class AutoTopUpSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Buy `amount` of credit when the balance is below `below`, in major units of the subscription's currency.

    At most `most_in_30_days` is bought in any 30 days, without a limit if null. After a top-up began, none begins for
    `cool_off_minutes`; after a failed payment none for an hour at least, and after three in a row none until the terms
    are set again.
    """

    below: Decimal
    amount: Decimal
    most_in_30_days: Decimal | None = None
    cool_off_minutes: Annotated[int, Meta(ge=0, le=43_200)] = 10


class AutoTopUpView(Struct, frozen=True, kw_only=True):
    """When an account tops itself up. `paused`: why none would begin now; null where one is due."""

    subscription_id: str
    below: DecimalText
    amount: DecimalText
    most_in_30_days: DecimalText | None
    cool_off_minutes: int
    currency: str
    set_at: Instant
    paused: TopUpPause | None


class TopUpView(Struct, frozen=True, kw_only=True):
    """One payment for credit. `failure`: the provider's code of why it failed; `grant_id`: the credit it bought."""

    top_up_id: str
    subscription_id: str
    amount: DecimalText
    currency: str
    status: TopUpStatus
    failure: str | None
    grant_id: str | None
    began_at: Instant
    ended_at: Instant | None
