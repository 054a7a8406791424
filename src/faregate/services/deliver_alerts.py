"""Deliver alerts: outside any transaction, at least once, each destination for itself.

A crash between a delivery and its mark repeats the delivery, under the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

import structlog

from faregate.base.clock import Clock
from faregate.base.errors import Unavailable
from faregate.base.limits import ALERT_TIMEOUT_S, MAX_ALERT_ATTEMPTS, MAX_DETAIL_CHARACTERS
from faregate.services.retries import retry_delay
from faregate.storage.alerts import DestinationKind, DueDelivery, due_deliveries, mark_delivered, mark_failed
from faregate.storage.database import Database, Transaction

_log = structlog.get_logger(__name__)

_AT_ONCE: Final = 20


class AlertSender(Protocol):
    """Delivers in one way."""

    async def send(self, due: DueDelivery) -> None:
        """Hand an alert over; raises `Unavailable`, whose message bears no secret, where it was not taken."""


async def deliver_alerts(database: Database, senders: Mapping[DestinationKind, AlertSender], clock: Clock) -> int:
    """Deliver every alert that waits and is not held back by a failure; return how many were delivered.

    A failure is counted with its error and tried again after a growing delay, up to `MAX_ALERT_ATTEMPTS` times.
    """
    delivered = 0
    while due := await database.read(lambda tx: due_deliveries(tx, now=clock.now(), limit=_AT_ONCE)):
        errors = await asyncio.gather(*(_send(senders, one) for one in due))
        outcomes = list(zip(due, errors, strict=True))
        await database.write(lambda tx, outcomes=outcomes: _mark(tx, outcomes, clock.now()))  # type: ignore[misc]
        delivered += sum(error is None for error in errors)
    return delivered


async def _send(senders: Mapping[DestinationKind, AlertSender], due: DueDelivery) -> str | None:
    """Return None, or why it was not delivered."""
    sender = senders.get(due.destination.kind)
    if sender is None:
        return f"this control plane is not set up to send by {due.destination.kind.value}"
    try:
        async with asyncio.timeout(ALERT_TIMEOUT_S):
            await sender.send(due)
    except Unavailable as error:
        return error.message[:MAX_DETAIL_CHARACTERS]
    except TimeoutError:
        return f"not taken within {ALERT_TIMEOUT_S} s"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one delivery, the others go on
        _log.exception("alert.delivery_crashed", alert_id=due.alert.alert_id)
        return f"could not be sent: {type(error).__name__}"
    return None


def _mark(transaction: Transaction, outcomes: list[tuple[DueDelivery, str | None]], now: datetime) -> None:
    mark_delivered(transaction, [due.delivery.delivery_id for due, error in outcomes if error is None], now)
    for due, error in outcomes:
        if error is None:
            continue
        delivery = due.delivery
        last = delivery.attempts + 1 >= MAX_ALERT_ATTEMPTS
        _log.warning(
            "alert.delivery_failed",
            alert_id=due.alert.alert_id,
            destination_id=delivery.destination_id,
            failures=delivery.attempts + 1,
            gave_up=last,
            error=error,
        )
        retry_at = None if last else now + retry_delay(delivery.attempts, delivery.delivery_id)
        mark_failed(transaction, delivery.delivery_id, error=error, retry_at=retry_at, now=now)
