"""How calls of Stripe end: repeated where that may help, and told in our words where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
import stamina
import stripe

from faregate.base.errors import ConfigurationError, Conflict, FaregateError, InvalidInput, NotFound, Unavailable
from faregate.providers.stripe.client import asked, connect, created, is_live
from faregate.providers.stripe.usage import StripeUsage, send_usage
from faregate.providers.stripe_version import API_VERSION
from tests.providers.stripe_stand_in import Scripted, StandIn, standing_in

if TYPE_CHECKING:
    from stripe import Customer, StripeClient

KEY = "rk_test_51SecretSecret"
CUSTOMER = {"id": "cus_1", "object": "customer"}


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


@pytest.fixture
def client(server: StandIn) -> Iterator[StripeClient]:
    server.script.clear()
    server.keys.clear()
    with stamina.set_testing(True, attempts=6, cap=True):
        yield connect(KEY, base_url=server.url)


def read(client: StripeClient) -> Customer:
    return asked(lambda: client.v1.customers.retrieve("cus_1"))


def make(client: StripeClient, *, find: Customer | None = None) -> Customer:
    return created(
        lambda key: client.v1.customers.create({"name": "A"}, {"idempotency_key": key}), key="ours", find=lambda: find
    )


def test_every_call_names_the_one_version_which_is_that_of_the_sdk(client: StripeClient, server: StandIn) -> None:
    server.script += [Scripted(HTTPStatus.OK, CUSTOMER)]
    read(client)
    assert server.versions == {API_VERSION} == {stripe.api_version}


@pytest.mark.parametrize("status", [None, 409, 429, 500, 503])
def test_what_may_pass_is_asked_again_under_the_same_key(
    client: StripeClient, server: StandIn, status: int | None
) -> None:
    failure = Scripted(None) if status is None else Scripted.error(status)
    server.script += [failure, failure, Scripted(HTTPStatus.OK, CUSTOMER)]
    assert make(client).id == "cus_1"
    assert server.keys == ["ours"] * 3


def test_what_does_not_pass_in_time_is_unavailable(client: StripeClient, server: StandIn) -> None:
    server.script += [Scripted.error(503, "busy")] * 6
    with pytest.raises(Unavailable, match=r"Stripe did not answer: busy \(Stripe's request req_1\)"):
        read(client)
    assert server.script == []


def test_a_held_lock_is_met_by_the_next_key_of_the_series(client: StripeClient, server: StandIn) -> None:
    locked = Scripted.error(429, code="lock_timeout")
    server.script += [locked, locked, Scripted(HTTPStatus.OK, CUSTOMER)] * 2
    assert make(client).id == make(client).id == "cus_1"
    assert server.keys == ["ours", "ours~1", "ours~2"] * 2


def test_what_stands_behind_a_held_lock_is_not_made_again(client: StripeClient, server: StandIn) -> None:
    server.script += [Scripted(HTTPStatus.OK, CUSTOMER), Scripted.error(429, code="lock_timeout")]
    standing = read(client)
    assert make(client, find=standing) is standing
    assert server.keys == [None, "ours"]


def test_usage_behind_a_held_lock_is_sent_under_the_next_key_with_the_same_identifier(
    client: StripeClient, server: StandIn
) -> None:
    taken = "An event already exists with identifier mtr_1:acme."
    server.script += [Scripted.error(429, code="lock_timeout"), Scripted.error(400, taken)]
    send_usage(
        client,
        StripeUsage(
            event_name="prc_1",
            customer="cus_1",
            value=Decimal(5),
            identifier="mtr_1:acme",
            timestamp=datetime(2026, 3, 1, tzinfo=UTC),
        ),
    )
    assert server.keys == ["mtr_1:acme", "mtr_1:acme~1"]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Scripted.error(400, "Invalid currency", param="currency"), InvalidInput, "currency: Invalid currency"),
        (Scripted.error(400, "odd"), InvalidInput, "request: odd"),
        (Scripted.error(404, "No such customer: 'cus_1'", param="id"), NotFound, "no customer 'cus_1'"),
        (Scripted.error(400, "No such price: 'p'", code="resource_missing"), NotFound, "no price 'p'"),
        (Scripted.error(404, "Unrecognized request URL"), NotFound, "Unrecognized request URL"),
        (Scripted.error(400, "taken", code="resource_already_exists", param="id"), Conflict, "id: taken"),
        (Scripted.error(400, "other use", type="idempotency_error"), Conflict, "other use"),
        (Scripted.error(402, "declined", code="card_declined", param="source"), InvalidInput, "source: declined"),
        (Scripted.error(401, f"Invalid API Key provided: {KEY}"), ConfigurationError, "provided: rk_..."),
        (Scripted.error(403, f"The key {KEY} has no permission rak_x"), ConfigurationError, "no permission rak_x"),
    ],
)
def test_what_is_refused_is_one_of_our_errors_without_the_key(
    client: StripeClient, server: StandIn, answer: Scripted, error: type[FaregateError], says: str
) -> None:
    server.script += [answer]
    with pytest.raises(error) as raised:
        read(client)
    assert says in raised.value.message
    assert KEY not in repr(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(("key", "live"), [("sk_test_1", False), ("rk_live_1", True)])
def test_a_key_says_its_mode(key: str, *, live: bool) -> None:
    assert is_live(key) is live


@pytest.mark.parametrize("key", ["", "pk_live_1", "sk_test_", "whsec_1", "sk_test_1 2"])
def test_what_is_no_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigurationError, match="no secret or restricted key") as raised:
        connect(key)
    assert not key or key not in raised.value.message.split()
