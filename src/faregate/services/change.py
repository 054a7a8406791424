"""What every change to an application's own records takes beside the change itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from faregate.base.clock import Clock
from faregate.base.ids import IdSource
from faregate.services.business_clock import business_now
from faregate.storage.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The application that is changed, its business time at the change, and where new ids come from.

    `is_part`: one of several changes of one transaction, whose maker checks at the end what holds for all together.
    """

    application_id: str
    now: datetime
    new_id: IdSource
    is_part: bool = False


def change_now(transaction: Transaction, application_id: str, clock: Clock, *, new_id: IdSource) -> Change:
    """Return what a change to an application takes at this moment; `NotFound` for an unknown application."""
    now = business_now(transaction, application_id, clock)
    return Change(application_id=application_id, now=now, new_id=new_id)
