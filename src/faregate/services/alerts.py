"""Where alerts go, what watches balances, and alerts as they are shown."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from faregate.base.errors import Conflict, InvalidInput, NotFound
from faregate.base.money import currency
from faregate.domain.catalog.validation import require
from faregate.domain.limits.alerts import BalanceAlert, balance_alert_faults
from faregate.services.accounts import refresh_accounts
from faregate.services.change import Change
from faregate.storage import alerts as stored
from faregate.storage.alerts import AlertRow, Delivery, Destination, DestinationKind
from faregate.storage.database import Transaction
from faregate.storage.subscriptions import find_subscription
from faregate.wire.api.alerts import (
    AlertDetails,
    AlertView,
    BalanceAlertCreate,
    DeliveryStatus,
    DeliveryView,
    DestinationCreate,
    DestinationView,
)
from faregate.wire.api.common import bounded, plain
from faregate.wire.webhooks import encode_secret

_SECRET_BYTES: Final = 32
_MOST_BALANCE_ALERTS: Final = 100


def create_destination(transaction: Transaction, change: Change, request: DestinationCreate) -> Destination:
    """Send alerts there from now on; `InvalidInput` unless one address is given, `Conflict` where it is known."""
    if (request.url is None) == (request.email is None):
        raise InvalidInput.of("url", "give either this or 'email'")
    kind = DestinationKind.EMAIL if request.url is None else DestinationKind.WEBHOOK
    address = request.url or request.email or ""
    if stored.find_destination(transaction, change.application_id, address=address) is not None:
        raise Conflict("url" if kind is DestinationKind.WEBHOOK else "email", "alerts are sent there already")
    made = Destination(
        destination_id=change.new_id("dst"),
        application_id=change.application_id,
        kind=kind,
        address=address,
        secret=encode_secret(secrets.token_bytes(_SECRET_BYTES)) if kind is DestinationKind.WEBHOOK else "",
        created_at=change.now,
    )
    stored.insert_destination(transaction, made)
    return made


def delete_destination(transaction: Transaction, change: Change, destination_id: str) -> None:
    """Send nothing there any more, what waits included; `NotFound` if there is none of that id."""
    if stored.find_destination(transaction, change.application_id, destination_id=destination_id) is None:
        raise NotFound("alert destination", destination_id)
    stored.delete_destination(transaction, destination_id)


def create_balance_alert(transaction: Transaction, change: Change, request: BalanceAlertCreate) -> BalanceAlert:
    """Watch balances from now on: one that is low already is told at once.

    Raises `InvalidInput` on what cannot be and `Conflict` on `name`.
    """
    alert = BalanceAlert(
        balance_alert_id=change.new_id("bal"),
        name=request.name,
        subscription_id=request.subscription_id,
        below_amount=None if request.below_amount is None else bounded("below_amount", request.below_amount),
        currency=None if request.currency is None else currency(request.currency).code,
        below_percent=request.below_percent,
    )
    require(balance_alert_faults(alert))
    wanted = alert.subscription_id
    if wanted is not None and find_subscription(transaction, change.application_id, wanted) is None:
        raise InvalidInput.of("subscription_id", f"there is no subscription {wanted!r}")
    standing = stored.list_balance_alerts(transaction, change.application_id, after="", limit=_MOST_BALANCE_ALERTS)
    if any(other.name == alert.name for other in standing):
        raise Conflict("name", f"there is already a balance alert {alert.name!r}")
    if len(standing) == _MOST_BALANCE_ALERTS:
        raise Conflict("name", f"there are {_MOST_BALANCE_ALERTS} balance alerts already; delete one first")
    stored.insert_balance_alert(transaction, change.application_id, alert, created_at=change.now)
    ids = stored.subscriptions_of_application(transaction, change.application_id) if wanted is None else [wanted]
    refresh_accounts(transaction, subscription_ids=ids, now=change.now)
    return alert


def delete_balance_alert(transaction: Transaction, change: Change, balance_alert_id: str) -> None:
    """Watch no more; `NotFound` if there is none of that id."""
    standing = stored.list_balance_alerts(transaction, change.application_id, after="", limit=_MOST_BALANCE_ALERTS)
    if all(other.balance_alert_id != balance_alert_id for other in standing):
        raise NotFound("balance alert", balance_alert_id)
    stored.delete_balance_alert(transaction, balance_alert_id)


def find_alert(transaction: Transaction, application_id: str, alert_id: str) -> AlertDetails:
    """Return an alert with its deliveries; `NotFound` if there is none of that id."""
    row = stored.find_alert(transaction, application_id, alert_id)
    if row is None:
        raise NotFound("alert", alert_id)
    (found,) = _details(transaction, [row])
    return found


def _details(transaction: Transaction, rows: Sequence[AlertRow]) -> list[AlertDetails]:
    deliveries = stored.deliveries_of(transaction, [row.alert_id for row in rows])
    return [
        AlertDetails(
            **{name: getattr(view, name) for name in AlertView.__struct_fields__},
            deliveries=[_delivery_view(delivery) for delivery in deliveries.get(view.alert_id, ())],
        )
        for view in map(alert_view, rows)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertList:
    """A part of the alerts, newest first; `next_before` is where the next part begins, empty at the end."""

    rows: list[AlertDetails]
    next_before: str


def newest_alerts(transaction: Transaction, application_id: str, *, before: str, limit: int) -> AlertList:
    """Return alerts with their deliveries, from the first one before an id (empty: from the newest)."""
    rows = stored.list_alerts(transaction, application_id, company_id=None, before=before, limit=limit + 1)
    shown = rows[:limit]
    return AlertList(rows=_details(transaction, shown), next_before=shown[-1].alert_id if len(rows) > limit else "")


def alert_view(row: AlertRow) -> AlertView:
    """Return an alert as it travels, in the API and in webhooks."""
    return AlertView(
        alert_id=row.alert_id,
        kind=row.kind.value,
        source_id=row.source_id,
        name=row.name,
        subject=row.subject,
        subject_id=row.subject_id,
        company_id=row.company_id,
        period_start=row.period_start,
        period_end=row.period_end,
        percent=row.percent,
        measured=plain(row.measured),
        amount=plain(row.amount),
        unit=row.unit,
        created_at=row.created_at,
    )


def destination_view(row: Destination) -> DestinationView:
    """Return a destination as it travels, without its secret."""
    return DestinationView(
        destination_id=row.destination_id, kind=row.kind.value, address=row.address, created_at=row.created_at
    )


def _delivery_view(delivery: Delivery) -> DeliveryView:
    status = DeliveryStatus.WAITING
    if delivery.delivered_at is not None:
        status = DeliveryStatus.DELIVERED
    elif delivery.gave_up_at is not None:
        status = DeliveryStatus.GAVE_UP
    return DeliveryView(
        destination_id=delivery.destination_id,
        status=status,
        failures=delivery.attempts,
        last_error=delivery.last_error,
        retry_at=delivery.retry_at,
        delivered_at=delivery.delivered_at,
    )
