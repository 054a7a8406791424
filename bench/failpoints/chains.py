"""Who dies at which point: chains of points, each for one process that starts again at once, armed for the next."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.children import BenchError, Child, wait_until
from faregate.apps.failpoints import FAILPOINT, MARK
from faregate.base import failpoints

_REACHED_WITHIN_S: Final = 90.0

GATEWAY_CHAINS: Final = (
    (
        failpoints.START_WRITTEN,
        failpoints.CHECKPOINT_WRITTEN,
        failpoints.EXTENSION_WRITTEN,
        failpoints.EVENT_WRITTEN,
        failpoints.EVENTS_SHIPPED,
        failpoints.EPOCH_OPENED,
        failpoints.RETURNS_SENT,
    ),
    (
        failpoints.FIRST_BYTE_MARKED,
        failpoints.UPSTREAM_ANSWERED,
        failpoints.EVENTS_UNSHIPPED,
        failpoints.LEASE_ANSWERED,
        failpoints.EARLIER_RELEASED,
    ),
)
"""Of one gateway each, while calls are made."""

PAYING_CHAIN: Final = (failpoints.TOP_UP_PAID,)
"""Of the control plane, before the others, as accounts begin to top themselves up."""

LEDGER_CHAIN: Final = (
    failpoints.EPOCH_RAISED,
    failpoints.EARLIER_FREED,
    failpoints.EVENTS_LOGGED,
    failpoints.EVENTS_COMMITTED,
    failpoints.BATCH_APPLIED,
    failpoints.BATCH_COMMITTED,
    failpoints.LEASE_GRANTED,
    failpoints.LEASE_COMMITTED,
    failpoints.UNITS_FREED,
    failpoints.CREDIT_GIVEN,
    failpoints.CREDIT_COMMITTED,
)
"""Of the control plane, while calls are made; first what only starting gateways reach."""

BILLING_CHAIN: Final = (
    failpoints.WINDOWS_CLOSED,
    failpoints.PERIOD_ENDED,
    failpoints.OUTBOX_SENT,
    failpoints.INVOICE_KEPT,
)
"""Of the control plane, after the calls, when a period has ended."""

TRIED: Final = frozenset((*GATEWAY_CHAINS[0], *GATEWAY_CHAINS[1], *PAYING_CHAIN, *LEDGER_CHAIN, *BILLING_CHAIN))

_LATEST_TURN: Final = 6
_ONCE: Final = frozenset(
    (
        failpoints.EPOCH_OPENED,
        failpoints.EARLIER_RELEASED,
        failpoints.EPOCH_RAISED,
        failpoints.EARLIER_FREED,
        failpoints.WINDOWS_CLOSED,
        failpoints.TOP_UP_PAID,
    )
)
"""What a process may reach no more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A process' end at a point; `fault`: what was wrong with it, if any."""

    point: str
    fault: str = ""


def die_along(
    child: Child, points: Sequence[str], *, chance: random.Random, provoke: Callable[[], None] | None = None
) -> list[Death]:
    """Have a process that is not running die at each point in turn; return how it did. It is left not running.

    `provoke` is called after the first start.
    """
    first, *others = points
    return [
        _die(child, first, chance=chance, provoke=provoke),
        *(_die(child, point, chance=chance, provoke=None) for point in others),
    ]


def _die(child: Child, point: str, *, chance: random.Random, provoke: Callable[[], None] | None) -> Death:
    turn = 1 if point in _ONCE else chance.randint(1, _LATEST_TURN)
    marks = _marks(child, point)
    child.start({FAILPOINT: f"{point}:{turn}"})
    fault = ""
    try:
        if provoke is not None:
            provoke()
        wait_until(child.has_ended, within_s=_REACHED_WITHIN_S, what=f"{child.name} to reach {point}")
    except BenchError as error:
        fault = f"{child.name} did not die at {point}:{turn} ({error})"
    else:
        if child.exit_status() != -signal.SIGKILL or _marks(child, point) != marks + 1:
            fault = f"{child.name} ended at {point}:{turn} with status {child.exit_status()}\n{child.end_of_log()}"
    finally:
        child.kill()
    return Death(point=point, fault=fault)


def _marks(child: Child, point: str) -> int:
    return child.log_path.read_text(errors="replace").count(f"{MARK}{point}\n") if child.log_path.exists() else 0
