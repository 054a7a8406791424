"""The figures that an operator looks at first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from faregate.storage.database import Transaction
from faregate.storage.overview import (
    count_companies,
    count_exhausted_accounts,
    count_failed_messages,
    count_set_aside,
)
from faregate.storage.provider_standings import overdue_companies


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Counts at one moment. `failing`: messages that the billing provider did not take at the last attempt."""

    companies: int
    exhausted: int
    overdue: int
    set_aside: int
    failing: int


def read_overview(transaction: Transaction, application_id: str, *, now: datetime) -> Overview:
    """Return the figures at the business time `now`."""
    return Overview(
        companies=count_companies(transaction, application_id),
        exhausted=count_exhausted_accounts(transaction, application_id),
        overdue=len(overdue_companies(transaction, application_id, now=now)),
        set_aside=count_set_aside(transaction, application_id),
        failing=count_failed_messages(transaction, application_id),
    )
