"""Test clocks: customers whose time is moved by hand (docs.stripe.com/api/test_clocks)."""

from __future__ import annotations

from typing import Final

from stripe.params.test_helpers._test_clock_advance_params import TestClockAdvanceParams
from stripe.params.test_helpers._test_clock_create_params import TestClockCreateParams
from stripe.params.test_helpers._test_clock_delete_params import TestClockDeleteParams
from stripe.params.test_helpers._test_clock_list_params import TestClockListParams
from stripe.params.test_helpers._test_clock_retrieve_params import TestClockRetrieveParams

from faregate.providers.sandbox.asking import Asked, Route, Sandbox, page_of, retrieved
from faregate.providers.sandbox.customers import live_customer, remove_customer
from faregate.providers.sandbox.faults import Json, StripeFault, refused
from faregate.providers.sandbox.times import TEST_CLOCK

ADVANCE: Final = "test_clock.advance"
_DELETE: Final = "test_clock.delete"
_KEPT_S: Final = 30 * 86_400
_MOST_WITHOUT_SUBSCRIPTION_S: Final = 2 * 366 * 86_400
_INTERVAL_S: Final = {"day": 86_400, "week": 7 * 86_400, "month": 31 * 86_400, "year": 366 * 86_400}
"""How long an interval is at most."""


def make_clock(sandbox: Sandbox, asked: Asked) -> Json:
    """Make a clock that stands still."""
    sent = asked.parameters
    now = sandbox.now()
    body: Json = {
        "id": sandbox.new_id("clock"),
        "object": TEST_CLOCK,
        "created": now,
        "deletes_after": now + _KEPT_S,
        "frozen_time": sent["frozen_time"],
        "livemode": False,
        "name": sent.get("name"),
        "status": "ready",
        "status_details": {},
    }
    sandbox.store.add(body)
    sandbox.store.plan(_DELETE, body["id"], at=body["deletes_after"], clock="")
    if "customer" in sent:
        _attach(sandbox, sent["customer"], body)
    sandbox.tell("test_helpers.test_clock.created", body)
    return body


def list_clocks(sandbox: Sandbox, asked: Asked) -> Json:
    """List clocks."""
    return page_of(asked, sandbox.store.newest_first(TEST_CLOCK))


def advance_clock(sandbox: Sandbox, asked: Asked) -> Json:
    """Begin to advance a clock; it is `ready` when what was due on the way is done."""
    body = sandbox.store.get(TEST_CLOCK, asked.ids[0])
    target = asked.parameters["frozen_time"]
    if body["status"] != "ready":
        message = "The test clock is still advancing; wait until it is ready."
        raise StripeFault(message, code="test_clock_not_ready", param="id")
    if target <= body["frozen_time"]:
        raise refused("Test clocks can only be advanced to a time after their frozen time.", param="frozen_time")
    if target > body["frozen_time"] + _farthest_s(sandbox, body["id"]):
        message = (
            "Test clocks can be advanced by two intervals of their shortest subscription at once,"
            " or by two years where they have none."
        )
        raise refused(message, param="frozen_time")
    body |= {"status": "advancing", "status_details": {"advancing": {"target_frozen_time": target}}}
    sandbox.store.put(body)
    sandbox.store.plan(ADVANCE, body["id"], at=sandbox.now(), clock="")
    sandbox.tell("test_helpers.test_clock.advancing", body)
    return body


def target_of(sandbox: Sandbox, identifier: str) -> int:
    """Return the time towards which a clock advances."""
    target: int = sandbox.store.get(TEST_CLOCK, identifier)["status_details"]["advancing"]["target_frozen_time"]
    return target


def arrive(sandbox: Sandbox, identifier: str) -> None:
    """Let a clock stand still at the time towards which it advanced."""
    body = sandbox.store.get(TEST_CLOCK, identifier)
    body |= {"status": "ready", "status_details": {}, "frozen_time": target_of(sandbox, identifier)}
    sandbox.store.forget(ADVANCE, identifier)
    sandbox.store.put(body)
    sandbox.tell("test_helpers.test_clock.ready", body)


def delete_clock(sandbox: Sandbox, asked: Asked) -> Json:
    """Delete a clock and its customers."""
    body = sandbox.store.get(TEST_CLOCK, asked.ids[0])
    _remove(sandbox, body["id"])
    return {"id": body["id"], "object": TEST_CLOCK, "deleted": True}


def _remove(sandbox: Sandbox, identifier: str) -> None:
    body = sandbox.store.get(TEST_CLOCK, identifier)
    for customer in sandbox.store.find("customer", "test_clock", identifier):
        if not customer.get("deleted"):
            remove_customer(sandbox.at(body["frozen_time"]), customer)
    for work in (ADVANCE, _DELETE):
        sandbox.store.forget(work, identifier)
    sandbox.store.remove(body)
    sandbox.tell("test_helpers.test_clock.deleted", body)


def _attach(sandbox: Sandbox, identifier: str, clock: Json) -> None:
    customer = live_customer(sandbox, identifier)
    if customer["test_clock"] is not None or sandbox.store.find("subscription", "customer", identifier):
        message = f"The customer {identifier} has a test clock or subscriptions: it cannot be attached to a clock."
        raise refused(message, param="customer")
    customer |= {"test_clock": clock["id"]}
    sandbox.store.put(customer)
    sandbox.store.index(customer, test_clock=clock["id"])


def _farthest_s(sandbox: Sandbox, identifier: str) -> int:
    lengths = [
        2 * _INTERVAL_S[recurring["interval"]] * recurring["interval_count"]
        for customer in sandbox.store.find("customer", "test_clock", identifier)
        for subscription in sandbox.store.find("subscription", "customer", customer["id"])
        if subscription["ended_at"] is None
        for recurring in [item["price"]["recurring"] for item in subscription["items"]["data"]]
    ]
    return min(lengths, default=_MOST_WITHOUT_SUBSCRIPTION_S)


WORKS: Final = {_DELETE: _remove}

_PATH: Final = "/v1/test_helpers/test_clocks"

ROUTES = [
    Route(method="POST", path=_PATH, parameters=TestClockCreateParams, answer=make_clock),
    Route(method="GET", path=_PATH, parameters=TestClockListParams, answer=list_clocks),
    Route(method="GET", path=f"{_PATH}/{{}}", parameters=TestClockRetrieveParams, answer=retrieved(TEST_CLOCK)),
    Route(method="DELETE", path=f"{_PATH}/{{}}", parameters=TestClockDeleteParams, answer=delete_clock),
    Route(method="POST", path=f"{_PATH}/{{}}/advance", parameters=TestClockAdvanceParams, answer=advance_clock),
]
