"""Read the billing provider's own list of events: whatever no webhook brought is found there.

What is read begins a while before where the last reading ended: an event may appear in the list after later ones did.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from faregate.base.clock import Clock
from faregate.domain.billing.provider_events import EventSource
from faregate.domain.billing.provider_readings import ProviderReadings
from faregate.services.business_clock import business_now
from faregate.services.gateway_calls import main_application
from faregate.services.provider_calls import ask_provider
from faregate.storage.database import Database, Transaction
from faregate.storage.provider_events import keep_events, move_polled_to, polled_to

_OVERLAP: Final = timedelta(minutes=5)
_FIRST_LOOK_BACK: Final = timedelta(days=1)


async def poll_events(database: Database, readings: ProviderReadings, clock: Clock) -> int:
    """Keep events that are not kept yet, and how far the list was read; return how many were new.

    The first time, a day is looked back. Raises `Unavailable` where the provider did not answer: the next time reads
    what this one did not.
    """
    application_id, since = await database.read(lambda tx: _since(tx, clock))
    events = await ask_provider(readings.events_since, since)
    if not events:
        return 0

    def keep(transaction: Transaction) -> int:
        new = keep_events(transaction, application_id, events, source=EventSource.POLL, received_at=clock.now())
        read_to = max(event.created_at for event in events)
        earlier = polled_to(transaction, application_id)
        if earlier is None or read_to > earlier:
            move_polled_to(transaction, application_id, read_to)
        return new

    return await database.write(keep)


def _since(transaction: Transaction, clock: Clock) -> tuple[str, datetime]:
    application_id = main_application(transaction)
    read_to = polled_to(transaction, application_id)
    if read_to is None:
        return application_id, business_now(transaction, application_id, clock) - _FIRST_LOOK_BACK
    return application_id, read_to - _OVERLAP
