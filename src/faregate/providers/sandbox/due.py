"""What the sandbox's time makes due, done in order of time, each at the instant at which it was due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from faregate.providers.sandbox import (
    checkout,
    checkout_paying,
    credit_grants,
    invoice_payments,
    refunds,
    subscription_course,
    subscription_states,
    test_clocks,
)
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import StripeFault
from faregate.providers.sandbox.store import DueWork

_log: Final = structlog.stdlib.get_logger()

WORKS: Final[Mapping[str, Callable[[Sandbox, str], None]]] = {
    **checkout.WORKS,
    **checkout_paying.WORKS,
    **credit_grants.WORKS,
    **invoice_payments.WORKS,
    **refunds.WORKS,
    **subscription_course.WORKS,
    **subscription_states.WORKS,
    **test_clocks.WORKS,
}
"""What each work does with the object that has the id, in the sandbox at the instant at which it was due."""

_AT_ONCE: Final = 100
"""Works of one transaction: others get their turn, and a crash repeats no more than these."""


def work_due(sandbox: Sandbox) -> int:
    """Do all that is due, and return how much it was. A look-up in an index where there is nothing."""
    done = 0
    while sandbox.has_work():
        with sandbox.store.transaction():
            done += _do_some(sandbox)
    return done


def _do_some(sandbox: Sandbox) -> int:
    now = sandbox.now()
    for done in range(_AT_ONCE):
        found = sandbox.store.next_due("")
        if found is None or found.at > now:
            return done
        if found.work == test_clocks.ADVANCE:
            _advance(sandbox, found.id)
            continue
        _do(sandbox, found)
    return _AT_ONCE


def _do(sandbox: Sandbox, found: DueWork) -> None:
    """Do a work, once; one that fails, since what it is of was forgotten, changes nothing and holds nothing up."""
    connection = sandbox.store.connection
    sandbox.store.forget(found.work, found.id)
    connection.execute("SAVEPOINT work")
    try:
        WORKS[found.work](sandbox.at(found.at), found.id)
    except StripeFault as fault:
        connection.execute("ROLLBACK TO work")
        _log.warning("sandbox.work_dropped", work=found.work, id=found.id, fault=fault.message)
    connection.execute("RELEASE work")


def _advance(sandbox: Sandbox, clock: str) -> None:
    """Do the next work on a test clock that advances; where nothing is left, it has arrived."""
    target = test_clocks.target_of(sandbox, clock)
    found = sandbox.store.next_due(clock)
    if found is None or found.at > target:
        test_clocks.arrive(sandbox, clock)
        return
    _do(sandbox, found)
