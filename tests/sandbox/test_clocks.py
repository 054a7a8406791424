"""Test clocks through the official SDK."""

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from stripe import InvalidRequestError, StripeClient
from stripe.test_helpers import TestClock as Clock

from faregate.apps.control.main import SANDBOX_FILE
from tests.sandbox.test_catalog import refusal

START = int(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp())
DAY_S = 86_400


@pytest.fixture
def clock(stripe: StripeClient) -> Clock:
    return stripe.v1.test_helpers.test_clocks.create({"frozen_time": START, "name": "January"})


def advanced(stripe: StripeClient, clock: str, to: int) -> Clock:
    begun = stripe.v1.test_helpers.test_clocks.advance(clock, {"frozen_time": to})
    assert begun.status == "advancing"
    assert begun.status_details.advancing is not None
    return stripe.v1.test_helpers.test_clocks.retrieve(clock)


def test_a_clock_stands_still_until_it_is_advanced(stripe: StripeClient, clock: Clock) -> None:
    assert (clock.status, clock.frozen_time, clock.name) == ("ready", START, "January")
    arrived = advanced(stripe, clock.id, START + DAY_S)
    assert (arrived.status, arrived.frozen_time) == ("ready", START + DAY_S)
    told = stripe.v1.events.list({"limit": 3}).data
    assert [event.type.rpartition(".")[2] for event in told] == ["ready", "advancing", "created"]
    assert clock.id in [each.id for each in stripe.v1.test_helpers.test_clocks.list().data]


@pytest.mark.parametrize("to", [START, START - 1, START + 3 * 366 * DAY_S])
def test_a_clock_goes_neither_back_nor_too_far(stripe: StripeClient, clock: Clock, to: int) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": to})
    assert refusal(refused) == ("frozen_time", None)


def test_a_customer_lives_on_its_clock(stripe: StripeClient, clock: Clock) -> None:
    customer = stripe.v1.customers.create({"name": "Frozen", "test_clock": clock.id})
    assert (customer.created, customer.test_clock) == (START, clock.id)
    assert [each.id for each in stripe.v1.customers.list({"test_clock": clock.id}).data] == [customer.id]


def test_a_clock_has_three_customers_at_most(stripe: StripeClient, clock: Clock) -> None:
    for _ in range(3):
        stripe.v1.customers.create({"test_clock": clock.id})
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.customers.create({"test_clock": clock.id})
    assert refusal(refused) == ("test_clock", "test_clock_limit_exceeded")


def test_a_clocks_customers_go_with_it(stripe: StripeClient, clock: Clock) -> None:
    customer = stripe.v1.customers.create({"test_clock": clock.id})
    assert stripe.v1.test_helpers.test_clocks.delete(clock.id).deleted
    assert stripe.v1.customers.retrieve(customer.id).deleted
    with pytest.raises(InvalidRequestError):
        stripe.v1.test_helpers.test_clocks.retrieve(clock.id)


def test_a_customer_of_before_can_be_attached(stripe: StripeClient) -> None:
    customer = stripe.v1.customers.create({"name": "Of before"})
    clock = stripe.v1.test_helpers.test_clocks.create({"frozen_time": START, "customer": customer.id})
    assert stripe.v1.customers.retrieve(customer.id).test_clock == clock.id
    with pytest.raises(InvalidRequestError):
        stripe.v1.test_helpers.test_clocks.create({"frozen_time": START, "customer": customer.id})


def test_what_is_due_is_done_though_nobody_asks(stripe: StripeClient, clock: Clock, data: Path) -> None:
    with closing(sqlite3.connect(data / SANDBOX_FILE)) as file:
        stripe.v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": START + DAY_S})
        until = time.monotonic() + 10
        advancing = [("advancing",)]
        while advancing and time.monotonic() < until:
            advancing = file.execute(
                "SELECT 1 FROM due WHERE id = ? AND work = 'test_clock.advance'", (clock.id,)
            ).fetchall()
            time.sleep(0.02)
    assert advancing == []
