"""The ledger was put back to an earlier state: nothing is granted until what it does not know of has ended.

Gateways hold leases, and have spent, as the lost part of the ledger said. So its generation rises, by which they know;
no lease is granted until the longest that may be out and its grace are over, and by then spools have shipped again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from faregate.base.clock import Clock
from faregate.base.limits import LEASE_DURATION_MS
from faregate.services.state_stream import newest_generation
from faregate.storage.applications import raise_generation
from faregate.storage.database import Transaction

SUSPENDED_FOR: Final = timedelta(milliseconds=2 * LEASE_DURATION_MS)
"""A lease's duration, and as long again for events to arrive."""


def note_restored(transaction: Transaction, clock: Clock) -> int:
    """Raise the generation of the ledger and suspend leases for a while; return the new generation."""
    generation = newest_generation(transaction) + 1
    raise_generation(transaction, generation, leases_from=clock.now() + SUSPENDED_FOR)
    return generation
