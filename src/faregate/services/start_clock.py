"""Begin an application's business time elsewhere than now: for replaying what happened earlier."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from faregate.base.clock import Clock
from faregate.base.errors import Conflict
from faregate.services.gateway_calls import main_application
from faregate.storage.applications import set_clock_offset
from faregate.storage.database import Transaction
from faregate.storage.state_feed import record_change
from faregate.storage.subscriptions import list_subscriptions

_MICROSECOND: Final = timedelta(microseconds=1)


def start_clock(transaction: Transaction, clock: Clock, *, at: datetime) -> None:
    """Set the main application's business time to `at`, before or after the wall clock's.

    Raises `Conflict` on `clock` where the application has a subscription: business time moves only forward from then
    on.
    """
    application_id = main_application(transaction)
    if list_subscriptions(transaction, application_id, company_id=None, after="", limit=1):
        raise Conflict("clock", "business time cannot be set any more: there is a subscription")
    set_clock_offset(transaction, application_id, (at - clock.now()) // _MICROSECOND)
    record_change(transaction, "clock", application_id)
