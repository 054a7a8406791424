"""Alerts on the wire: the same shape in the API and in webhooks."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from faregate.domain.limits.alerts import BalanceAlert
from faregate.wire.api.catalog import CurrencyCode
from faregate.wire.api.common import END, DecimalText, Identifier, Instant, Name, plain

_URL_PATTERN: Final = "^https?://[^\\s/?#@]+([/?][^\\s#]*)?" + END
_EMAIL_PATTERN: Final = "^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+" + END

WebhookUrl = Annotated[str, Meta(min_length=10, max_length=2_000, pattern=_URL_PATTERN)]
EmailAddress = Annotated[str, Meta(min_length=3, max_length=254, pattern=_EMAIL_PATTERN)]


class AlertView(Struct, frozen=True, kw_only=True):
    """A limit that reached a percentage, a balance that fell below a threshold, or usage that the provider lacks.

    `measured` is what was used, or what the balance was; `amount` the limit, or the threshold; both in `unit`: a
    currency, `requests`, `tokens`, or a meter's id. `percent` is null where the threshold is an amount. Of a usage
    report they are its units, 0, and its price's id, and `source_id` is the report's.
    """

    alert_id: str
    kind: Literal["limit", "balance", "usage_report"]
    source_id: str
    name: str
    subject: str
    subject_id: str
    company_id: str
    period_start: Instant
    period_end: Instant | None
    percent: int | None
    measured: DecimalText
    amount: DecimalText
    unit: str
    created_at: Instant


class DeliveryStatus(StrEnum):
    """`waiting`: not tried yet, or to be tried again; `gave_up`: it failed too often."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    GAVE_UP = "gave_up"


class DeliveryView(Struct, frozen=True, kw_only=True):
    """An alert on its way to a destination; `failures` counts the attempts that failed."""

    destination_id: str
    status: DeliveryStatus
    failures: int
    last_error: str | None
    retry_at: Instant | None
    delivered_at: Instant | None


class AlertDetails(AlertView, frozen=True, kw_only=True):
    """An alert and its deliveries."""

    deliveries: list[DeliveryView]


class DestinationCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to send alerts from now on: a `url` for signed webhooks, or an `email` address."""

    url: WebhookUrl | None = None
    email: EmailAddress | None = None


class DestinationView(Struct, frozen=True, kw_only=True):
    """Where alerts are sent."""

    destination_id: str
    kind: Literal["webhook", "email"]
    address: str
    created_at: Instant


class NewDestination(DestinationView, frozen=True, kw_only=True):
    """A destination, and the secret that its webhooks are signed with, which is shown once; null for e-mail."""

    secret: str | None


class BalanceAlertCreate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say when credit runs low: below an amount in a currency, or below a percentage of the last grant.

    Without `subscription_id`, of every subscription for itself.
    """

    name: Name
    subscription_id: Identifier | None = None
    below_amount: Decimal | None = None
    currency: CurrencyCode | None = None
    below_percent: Annotated[int, Meta(ge=1, le=100)] | None = None


class BalanceAlertView(Struct, frozen=True, kw_only=True):
    """What watches balances."""

    balance_alert_id: str
    name: str
    subscription_id: str | None
    below_amount: DecimalText | None
    currency: str | None
    below_percent: int | None


def balance_alert_view(alert: BalanceAlert) -> BalanceAlertView:
    """Return a balance alert as it travels."""
    return BalanceAlertView(
        balance_alert_id=alert.balance_alert_id,
        name=alert.name,
        subscription_id=alert.subscription_id,
        below_amount=None if alert.below_amount is None else plain(alert.below_amount),
        currency=alert.currency,
        below_percent=alert.below_percent,
    )
