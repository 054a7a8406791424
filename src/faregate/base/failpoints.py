"""Named points at which a process can be made to die, to prove that it may die there.

A process calls `reach` where a crash would hurt most: between a record and the act that it announces, before and after
a commit. Nothing happens unless the process was armed at its start (`apps/failpoints.py`), which only tests do. A point
is named once in the code; `bench/failpoints` dies at each of them, and a test holds the two lists together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# The gateway, along a call, then what runs beside the calls.
START_WRITTEN: Final = "gateway.start_written"
FIRST_BYTE_MARKED: Final = "gateway.first_byte_marked"
EXTENSION_WRITTEN: Final = "gateway.extension_written"
CHECKPOINT_WRITTEN: Final = "gateway.checkpoint_written"
UPSTREAM_ANSWERED: Final = "gateway.upstream_answered"
EVENT_WRITTEN: Final = "gateway.event_written"
EVENTS_UNSHIPPED: Final = "gateway.events_unshipped"
EVENTS_SHIPPED: Final = "gateway.events_shipped"
LEASE_ANSWERED: Final = "gateway.lease_answered"
RETURNS_SENT: Final = "gateway.returns_sent"
EPOCH_OPENED: Final = "gateway.epoch_opened"
EARLIER_RELEASED: Final = "gateway.earlier_released"

# The control plane. Before a commit, unless it says `committed`.
EVENTS_LOGGED: Final = "ledger.events_logged"
EVENTS_COMMITTED: Final = "ledger.events_committed"
BATCH_APPLIED: Final = "ledger.batch_applied"
BATCH_COMMITTED: Final = "ledger.batch_committed"
LEASE_GRANTED: Final = "ledger.lease_granted"
LEASE_COMMITTED: Final = "ledger.lease_committed"
UNITS_FREED: Final = "ledger.units_freed"
EARLIER_FREED: Final = "ledger.earlier_freed"
EPOCH_RAISED: Final = "ledger.epoch_raised"
CREDIT_GIVEN: Final = "ledger.credit_given"
CREDIT_COMMITTED: Final = "ledger.credit_committed"
TOP_UP_PAID: Final = "ledger.top_up_paid"
WINDOWS_CLOSED: Final = "ledger.windows_closed"
PERIOD_ENDED: Final = "ledger.period_ended"
OUTBOX_SENT: Final = "ledger.outbox_sent"
INVOICE_KEPT: Final = "ledger.invoice_kept"

FAILPOINTS: Final = frozenset(
    value for name, value in sorted(globals().items()) if name.isupper() and isinstance(value, str)
)
"""Every name."""


class _Switch:
    """What is done at a point; None in all processes but those that tests arm."""

    __slots__ = ("reached",)

    def __init__(self) -> None:
        self.reached: Callable[[str], None] | None = None


_switch: Final = _Switch()


def reach(point: str) -> None:
    """Say that a point is reached."""
    if _switch.reached is not None:
        _switch.reached(point)


def arm(reached: Callable[[str], None] | None) -> None:
    """Have `reached` called with each point's name from now on, in the thread that reaches it; None: nothing."""
    _switch.reached = reached
