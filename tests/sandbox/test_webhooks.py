"""Webhooks: signed over the raw body, sent once committed and until they are taken, each receiver for itself."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from stripe import Event, InvalidRequestError, SignatureVerificationError, StripeClient, Webhook, WebhookEndpoint

from faregate.providers.sandbox import deliveries
from faregate.providers.sandbox.deliveries import Outcome
from faregate.providers.sandbox.store import Store
from tests.control.control_plane import started
from tests.sandbox.conftest import client_of
from tests.sandbox.receiver import Post, Receiver, receiving
from tests.sandbox.test_catalog import refusal

CREATED: Final = "product.created"


@pytest.fixture
def endpoint(stripe: StripeClient, receiver: Receiver) -> Iterator[WebhookEndpoint]:
    endpoint = make_endpoint(stripe, receiver)
    yield endpoint
    stripe.v1.webhook_endpoints.delete(endpoint.id)


def make_endpoint(stripe: StripeClient, receiver: Receiver) -> WebhookEndpoint:
    return stripe.v1.webhook_endpoints.create(
        {"url": receiver.url, "enabled_events": [CREATED], "api_version": "2026-10-28.endive", "metadata": {"of": "us"}}
    )


def opened(post: Post, endpoint: WebhookEndpoint) -> Event:
    event = Webhook.construct_event(post.body, post.signature, endpoint.secret)
    assert isinstance(event, Event)
    return event


def until(holds: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_webhook_is_signed_and_brings_the_event_that_is_listed(
    stripe: StripeClient, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    made = stripe.v1.products.create({"name": "Told of"})
    stripe.v1.products.update(made.id, {"name": "Not asked for"})
    [post] = receiver.wait_for(lambda posts: len(posts) == 1)
    event = opened(post, endpoint)
    assert (event.type, event.data.object["id"], event.pending_webhooks) == (CREATED, made.id, 1)
    until(lambda: stripe.v1.events.retrieve(event.id).pending_webhooks == 0)
    with pytest.raises(SignatureVerificationError):
        opened(Post(body=post.body + b" ", signature=post.signature), endpoint)


def test_the_secret_is_shown_at_creation_only(stripe: StripeClient, endpoint: WebhookEndpoint) -> None:
    assert (endpoint.secret or "").startswith("whsec_")
    shown = stripe.v1.webhook_endpoints.retrieve(endpoint.id)
    assert "secret" not in shown.to_dict()
    assert shown.metadata.to_dict() == {"of": "us"}
    assert endpoint.id in [each.id for each in stripe.v1.webhook_endpoints.list().data]


def test_a_disabled_endpoint_is_sent_nothing_until_it_is_enabled(
    stripe: StripeClient, receiver: Receiver, endpoint: WebhookEndpoint
) -> None:
    stripe.v1.webhook_endpoints.update(endpoint.id, {"disabled": True})
    assert stripe.v1.webhook_endpoints.retrieve(endpoint.id).status == "disabled"
    stripe.v1.products.create({"name": "Unheard"})
    stripe.v1.webhook_endpoints.update(endpoint.id, {"disabled": False})
    heard = stripe.v1.products.create({"name": "Heard"})
    [post] = receiver.wait_for(lambda posts: len(posts) == 1)
    assert opened(post, endpoint).data.object["id"] == heard.id


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        ({"enabled_events": ["no.such"]}, "enabled_events[0]"),
        ({"url": "ftp://here"}, "url"),
        ({"api_version": "2019-12-03"}, "api_version"),
        ({"connect": True}, "connect"),
    ],
)
def test_an_endpoint_that_nothing_could_be_sent_to_is_refused(
    stripe: StripeClient, sent: dict[str, object], param: str
) -> None:
    fields = {"url": "http://127.0.0.1:1/", "enabled_events": ["*"]} | sent
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v1.webhook_endpoints.create(fields)  # type: ignore[arg-type]
    assert refusal(refused)[0] == param


def test_a_receiver_that_does_not_answer_delays_no_other(stripe: StripeClient, receiver: Receiver) -> None:
    hold = threading.Event()
    with receiving(hold=hold) as stuck:
        endpoints = [make_endpoint(stripe, each) for each in (stuck, receiver)]
        try:
            stripe.v1.products.create({"name": "First"})
            stuck.wait_for(lambda posts: len(posts) == 1)
            stripe.v1.products.create({"name": "Second"})
            receiver.wait_for(lambda posts: len(posts) == 2)
            assert len(stuck.posts) == 1
            hold.set()
            stuck.wait_for(lambda posts: len(posts) == 2)
        finally:
            hold.set()
            for endpoint in endpoints:
                stripe.v1.webhook_endpoints.delete(endpoint.id)


def test_a_webhook_under_way_when_the_control_plane_stops_is_sent_by_the_next_one(tmp_path: Path) -> None:
    hold = threading.Event()
    with receiving(hold=hold) as receiver:
        with started(tmp_path) as first:
            client = client_of(first, tmp_path)
            made = make_endpoint(client, receiver)
            product = client.v1.products.create({"name": "Told of"})
            receiver.wait_for(lambda posts: len(posts) == 1)
        hold.set()
        with started(tmp_path) as second:
            again = receiver.wait_for(lambda posts: len(posts) == 2)[1]
            event = opened(again, made)
            assert event.data.object["id"] == product.id
            events = client_of(second, tmp_path).v1.events
            until(lambda: events.retrieve(event.id).pending_webhooks == 0)


NOW_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "sandbox.sqlite3")) as store:
        with_one_delivery(store)
        yield store


def with_one_delivery(store: Store) -> None:
    endpoint = {"id": "we_1", "object": "webhook_endpoint", "url": "http://here", "status": "enabled"}
    store.add(endpoint | {"enabled_events": ["*"]})
    deliveries.add_secret(store, "we_1", "whsec_old", old_until_ms=0)
    event = {"id": "evt_1", "object": "event", "type": CREATED}
    store.add(event | {"pending_webhooks": deliveries.queue(store, event, now_ms=NOW_MS)})


def test_a_refused_webhook_is_sent_three_times_more_each_later_and_then_given_up(store: Store) -> None:
    now_ms, pauses = NOW_MS, []
    for _ in range(3):
        [due] = deliveries.due(store, now_ms=now_ms, busy=())["we_1"]
        deliveries.record(store, [Outcome(place=due.place, status=500, error=None)], now_ms=now_ms)
        assert deliveries.due(store, now_ms=now_ms, busy=()) == {}
        row = store.connection.execute("SELECT due_ms FROM delivery").fetchone()
        pauses.append(row["due_ms"] - now_ms)
        now_ms = row["due_ms"]
    assert pauses == sorted(pauses)
    assert pauses[-1] > timedelta(hours=1) / timedelta(milliseconds=1)
    [due] = deliveries.due(store, now_ms=now_ms, busy=())["we_1"]
    assert store.get("event", "evt_1")["pending_webhooks"] == 1
    deliveries.record(store, [Outcome(place=due.place, status=None, error="no answer")], now_ms=now_ms)
    assert deliveries.due(store, now_ms=now_ms * 2, busy=()) == {}
    assert store.get("event", "evt_1")["pending_webhooks"] == 0
    assert deliveries.send_again(store, due.place, now_ms=now_ms)
    assert len(deliveries.due(store, now_ms=now_ms, busy=())["we_1"]) == 1


def test_a_webhook_that_was_not_recorded_as_taken_is_sent_after_a_restart(store: Store, tmp_path: Path) -> None:
    [before] = deliveries.due(store, now_ms=NOW_MS, busy=())["we_1"]
    with closing(Store(tmp_path / "sandbox.sqlite3")) as again:
        assert deliveries.due(again, now_ms=NOW_MS, busy=())["we_1"] == [before]


def test_while_a_secret_is_rolled_both_sign(store: Store) -> None:
    deliveries.add_secret(store, "we_1", "whsec_new", old_until_ms=NOW_MS + 1_000)
    [due] = deliveries.due(store, now_ms=NOW_MS, busy=())["we_1"]
    header = deliveries.signature(due.body, due.secrets, at_s=int(time.time()))
    assert header.count(",v1=") == 2
    for secret in ("whsec_old", "whsec_new"):
        assert Webhook.construct_event(due.body, header, secret).id == json.loads(due.body)["id"]
    [later] = deliveries.due(store, now_ms=NOW_MS + 1_000, busy=())["we_1"]
    assert later.secrets == ("whsec_new",)


def test_a_deleted_endpoint_is_sent_nothing_that_waited(store: Store) -> None:
    store.remove(store.get("webhook_endpoint", "we_1"))
    assert deliveries.due(store, now_ms=NOW_MS, busy=()) == {}
    assert store.get("event", "evt_1")["pending_webhooks"] == 0
