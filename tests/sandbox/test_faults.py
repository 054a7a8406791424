"""Faults on demand, through the official SDK: refused, lost, late; webhooks late, twice, shuffled and dropped."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from stripe import APIConnectionError, APIError, InvalidRequestError, RateLimitError, StripeClient, StripeError

from faregate.apps.secret_files import SANDBOX_KEY_FILE
from faregate.base.clock import SystemClock
from faregate.base.ids import new_id
from faregate.providers.sandbox import deliveries
from faregate.providers.sandbox.api import HttpAnswer, HttpRequest, answer
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.store import Store
from tests.control.control_plane import Handle
from tests.sandbox.receiver import receiving
from tests.sandbox.test_usage import Reporter

EVENTS = "/v1/billing/meter_events"


class Controls:
    """The sandbox's own controls over HTTP."""

    def __init__(self, control: Handle, key: str) -> None:
        self.control = control
        self.key = key

    def ask(self, method: str, path: str, /, **sent: object) -> dict[str, object]:
        reply = self.control.ask(
            method, f"/sandbox/control/{path}", json.dumps(sent).encode(), authorization=f"Bearer {self.key}"
        )
        assert reply.status == 200, reply.body
        return reply.json()


@pytest.fixture
def controls(control: Handle, data: Path) -> Iterator[Controls]:
    controls = Controls(control, (data / SANDBOX_KEY_FILE).read_text().strip())
    yield controls
    controls.ask("DELETE", "faults")


@pytest.mark.parametrize(
    ("kind", "error", "status", "code"),
    [
        ("rate_limited", RateLimitError, 429, "rate_limit"),
        ("lock_timeout", RateLimitError, 429, "lock_timeout"),
        ("failed", APIError, 500, None),
        ("unavailable", APIError, 503, None),
    ],
)
def test_the_next_requests_are_refused_and_change_nothing(
    stripe: StripeClient, controls: Controls, kind: str, error: type[StripeError], status: int, code: str | None
) -> None:
    controls.ask("POST", "faults", answer=kind, method="POST", path="/v1/products", times=1, should_retry=True)
    with pytest.raises(error) as refused:
        stripe.v1.products.create({"id": f"prod_of_{kind}", "name": "Struck"})
    # The SDK keeps the code of a 429 in the document alone.
    assert (refused.value.http_status, refused.value.json_body["error"].get("code")) == (status, code)  # type: ignore[index]
    assert dict(refused.value.headers or {})["stripe-should-retry"] == "true"
    with pytest.raises(InvalidRequestError):
        stripe.v1.products.retrieve(f"prod_of_{kind}")
    assert stripe.v1.products.create({"id": f"prod_of_{kind}", "name": "Not struck"}).id


def test_a_lock_timeout_is_kept_under_its_key_and_a_fresh_key_is_answered(
    stripe: StripeClient, controls: Controls
) -> None:
    controls.ask("POST", "faults", answer="lock_timeout", path="/v1/products", times=1)
    for _ in range(2):
        with pytest.raises(RateLimitError):
            stripe.v1.products.create({"name": "Locked"}, {"idempotency_key": "locked"})
    stripe.v1.products.create({"name": "Locked"}, {"idempotency_key": "fresh"})


def test_an_answer_that_is_lost_was_committed(stripe: StripeClient, controls: Controls) -> None:
    reporter = Reporter(stripe)
    controls.ask("POST", "faults", answer="lost", path=EVENTS, times=1)
    with pytest.raises(APIConnectionError):
        reporter.report("7", identifier="lost")
    with pytest.raises(InvalidRequestError, match="An event already exists with identifier"):
        reporter.report("7", identifier="lost")
    assert reporter.total() == [7]
    [line] = [line for line in latest(controls) if line["fault"] == "lost"]
    assert (line["path"], line["status"]) == (EVENTS, 200)


def test_an_answer_comes_late(stripe: StripeClient, controls: Controls) -> None:
    controls.ask("POST", "faults", answer="late", path="/v1/products*", late_ms=60)
    began = time.monotonic()
    stripe.v1.products.list()
    assert time.monotonic() - began >= 0.06


def test_what_exceeds_a_rate_is_refused(stripe: StripeClient, controls: Controls) -> None:
    controls.ask("POST", "faults", answer="over_rate", path="/v1/customers", per_second=2)

    def ask_often() -> None:
        for _ in range(50):
            stripe.v1.customers.list()

    with pytest.raises(RateLimitError):
        ask_often()


def test_a_refusal_is_in_the_log_of_requests(stripe: StripeClient, controls: Controls) -> None:
    with pytest.raises(InvalidRequestError):
        stripe.v1.prices.create({"currency": "usd"}, {"idempotency_key": "of-the-log"})
    line = latest(controls)[0]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/prices", 400)
    assert line["idempotency_key"] == "of-the-log"
    assert line["error"] == "Missing required param: product."


def test_requests_are_listed_while_others_are_answered(sandbox: Sandbox) -> None:
    asked(sandbox, "GET", "/v1/products")
    [line] = sandbox.live.requests
    sandbox.live.requests.extend([line] * 500)
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.is_set():
            sandbox.live.requests.append(line)

    others, interval_s = threading.Thread(target=go_on), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    others.start()
    try:
        for _ in range(100):
            assert asked(sandbox, "GET", "/control/requests").status == 200
    finally:
        is_over.set()
        others.join()
        sys.setswitchinterval(interval_s)


def latest(controls: Controls) -> list[dict[str, object]]:
    lines = controls.ask("GET", "requests")["data"]
    assert isinstance(lines, list)
    return lines


@pytest.mark.parametrize(
    "sent",
    [
        {"answer": "never"},
        {"answer": "late", "on": "webhook", "path": "/v1/*"},
        {"answer": "late", "share": 2},
        {"answer": "late", "per_second": 5},
        {"answer": "late", "late_ms": -1},
    ],
)
def test_a_fault_that_cannot_be_is_refused(control: Handle, controls: Controls, sent: dict[str, object]) -> None:
    with pytest.raises(AssertionError, match=r"Invalid|goes with"):
        controls.ask("POST", "faults", **sent)


def test_webhooks_come_twice_and_not_at_all_as_told(stripe: StripeClient, controls: Controls) -> None:
    with receiving() as receiver:
        endpoint = stripe.v1.webhook_endpoints.create({"url": receiver.url, "enabled_events": ["product.created"]})
        controls.ask("POST", "faults", on="webhook", answer="dropped", type="product.*", times=1)
        controls.ask("POST", "faults", on="webhook", answer="twice", times=1)
        dropped, twice = (stripe.v1.products.create({"name": name}).id for name in ("Dropped", "Twice"))
        posts = receiver.wait_for(lambda posts: len(posts) == 2)
        assert [json.loads(post.body)["data"]["object"]["id"] for post in posts] == [twice, twice]
        listed = controls.ask("GET", "deliveries")["data"]
        assert isinstance(listed, list)
        [place] = [row["place"] for row in listed if row["state"] == "dropped"]
        controls.ask("POST", f"deliveries/{place}/send_again")
        last = receiver.wait_for(lambda posts: len(posts) == 3)[-1]
        assert json.loads(last.body)["data"]["object"]["id"] == dropped
        rolled = controls.ask("POST", f"receivers/{endpoint.id}/roll_secret")
        assert rolled["secret"] != endpoint.secret
        stripe.v1.webhook_endpoints.delete(endpoint.id)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with closing(Store(tmp_path / "sandbox.sqlite3")) as store:
        yield Sandbox(key="sk_test_1", store=store, clock=SystemClock(), new_id=new_id)


def asked(sandbox: Sandbox, method: str, path: str, body: bytes = b"", **headers: str) -> HttpAnswer:
    named = {name.replace("_", "-"): text for name, text in headers.items()} | {"authorization": "Bearer sk_test_1"}
    return answer(sandbox, HttpRequest(method=method, path=path, query=b"", headers=named, body=body))


def test_the_same_seed_meets_the_same_requests(sandbox: Sandbox) -> None:
    met = []
    for _ in range(2):
        rule = {"answer": "failed", "path": "/v1/products", "share": "0.3", "seed": 7}
        asked(sandbox, "POST", "/control/faults", json.dumps(rule).encode())
        met.append([asked(sandbox, "GET", "/v1/products").status for _ in range(30)])
        asked(sandbox, "DELETE", "/control/faults")
    assert met[0] == met[1]
    assert 1 <= met[0].count(500) <= 20


def test_shuffled_webhooks_are_due_in_an_order_of_the_seeds(sandbox: Sandbox) -> None:
    endpoint = b"url=http://127.0.0.1:1/&enabled_events[0]=*"
    asked(sandbox, "POST", "/v1/webhook_endpoints", endpoint)
    rule = {"on": "webhook", "answer": "shuffled", "late_ms": 60_000, "seed": 3}
    asked(sandbox, "POST", "/control/faults", json.dumps(rule).encode())
    for name in range(8):
        asked(sandbox, "POST", "/v1/products", f"name={name}".encode())
    rows = deliveries.newest_first(sandbox.store)
    assert [row["due_ms"] for row in rows] != sorted((row["due_ms"] for row in rows), reverse=True)
    assert deliveries.due(sandbox.store, now_ms=rows[-1]["due_ms"] - 60_000, busy=()) == {}


def test_one_call_at_a_time_reports_for_a_customer_and_a_meter(sandbox: Sandbox) -> None:
    body = b"event_name=tokens&payload[stripe_customer_id]=cus_1&payload[value]=1"
    with sandbox.live.alone(("tokens", "cus_1")):
        refused = asked(sandbox, "POST", EVENTS, body)
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (429, "lock_timeout")
        assert asked(sandbox, "POST", EVENTS, body.replace(b"cus_1", b"cus_2")).status == 404
        assert asked(sandbox, "POST", EVENTS, body.replace(b"tokens", b"calls")).status == 404
    assert asked(sandbox, "POST", EVENTS, body).status == 404


def test_a_reset_forgets_everything_or_one_kind(sandbox: Sandbox) -> None:
    for path in ("/v1/products", "/v1/customers"):
        asked(sandbox, "POST", path, b"name=Acme", idempotency_key=path)
    asked(sandbox, "POST", "/control/reset", b'{"kinds": ["product"]}')
    assert json.loads(asked(sandbox, "GET", "/v1/products").body)["data"] == []
    assert len(json.loads(asked(sandbox, "GET", "/v1/customers").body)["data"]) == 1
    assert asked(sandbox, "POST", "/control/reset", b'{"kinds": ["planet"]}').status == 400
    asked(sandbox, "POST", "/control/reset")
    assert json.loads(asked(sandbox, "GET", "/v1/customers").body)["data"] == []
    assert asked(sandbox, "POST", "/v1/customers", b"name=New", idempotency_key="/v1/customers").status == 200


def test_the_controls_ask_for_the_key(sandbox: Sandbox) -> None:
    request = HttpRequest(method="GET", path="/control/faults", query=b"", headers={}, body=b"")
    assert answer(sandbox, request).status == 401
    assert asked(sandbox, "GET", "/control/nothing").status == 404
    assert asked(sandbox, "POST", "/control/faults", b"[").status == 400
    assert asked(sandbox, "DELETE", "/control/faults/fault_none").status == 404
