"""Whose time it is, and what is to be done when: a customer lives on the account's clock, or on a test clock."""

from __future__ import annotations

from typing import Final

from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.faults import Json

TEST_CLOCK: Final = "test_helpers.test_clock"


def now_of(sandbox: Sandbox, customer: Json) -> int:
    """Return a customer's time: its test clock's, if it has one."""
    return in_time_of(sandbox, customer).now()


def in_time_of(sandbox: Sandbox, body: Json) -> Sandbox:
    """Return the account in the time of a customer, or of what is its; work that is done when it is due stays there."""
    clock = body.get("test_clock")
    if clock is None or sandbox.instant is not None:
        return sandbox
    return sandbox.at(sandbox.store.get(TEST_CLOCK, clock)["frozen_time"])


def in_time_of_owner(sandbox: Sandbox, body: Json) -> Sandbox:
    """Return the account in the time of the customer of a payment, refund or setup."""
    customer = body["customer"]
    return sandbox if customer is None else in_time_of(sandbox, sandbox.store.get("customer", customer))


def plan(sandbox: Sandbox, work: str, body: Json, *, at: int | None) -> None:
    """Do a work of `due.WORKS` with an object at an instant of its clock (`body["test_clock"]`); None: no more."""
    if at is None:
        sandbox.store.forget(work, body["id"])
    else:
        sandbox.store.plan(work, body["id"], at=at, clock=body.get("test_clock") or "")


def plan_for_owner(sandbox: Sandbox, work: str, body: Json, *, after_s: int) -> None:
    """Plan a work with something of a customer's on the clock that the customer lives on."""
    customer = body["customer"]
    clock = None if customer is None else sandbox.store.get("customer", customer)["test_clock"]
    plan(sandbox, work, {"id": body["id"], "test_clock": clock}, at=sandbox.now() + after_s)
