"""Stripe's `/v2` through the official SDK: event destinations, thin events, meter events afterwards judged, streams."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from stripe import AuthenticationError, InvalidRequestError, StripeClient
from stripe.events import V1BillingMeterErrorReportTriggeredEvent, V1BillingMeterNoMeterFoundEvent
from stripe.v2.core import EventDestination

from faregate.base.clock import SystemClock
from faregate.base.ids import new_id
from faregate.providers.sandbox import event_stream
from faregate.providers.sandbox.asking import Asked, Sandbox
from faregate.providers.sandbox.faults import StripeFault
from faregate.providers.sandbox.store import Store
from tests.control.control_plane import Handle
from tests.sandbox.receiver import Receiver
from tests.sandbox.test_catalog import refusal
from tests.sandbox.test_faults import Controls, controls  # noqa: F401 - a fixture
from tests.sandbox.test_usage import Reporter

REPORTED = "v1.billing.meter.error_report_triggered"
NO_METER = "v1.billing.meter.no_meter_found"


@pytest.fixture
def destination(stripe: StripeClient, receiver: Receiver) -> Iterator[EventDestination]:
    made = stripe.v2.core.event_destinations.create(
        {
            "name": "Meter errors",
            "type": "webhook_endpoint",
            "event_payload": "thin",
            "enabled_events": [REPORTED, NO_METER],
            "webhook_endpoint": {"url": receiver.url},
            "include": ["webhook_endpoint.signing_secret"],
            "metadata": {"of": "us"},
        }
    )
    yield made
    deleted = stripe.v2.core.event_destinations.delete(made.id)
    assert deleted.id == made.id


def secret_of(destination: EventDestination) -> str:
    assert destination.webhook_endpoint is not None
    assert destination.webhook_endpoint.signing_secret is not None
    return destination.webhook_endpoint.signing_secret


def streaming(stripe: StripeClient, control: Handle) -> StripeClient:
    session = stripe.v2.billing.meter_event_session.create()
    base = f"{control.running.origin}/sandbox"
    return StripeClient(
        session.authentication_token, max_network_retries=0, base_addresses={"api": base, "meter_events": base}
    )


def event_of(reporter: Reporter, value: str, **fields: str) -> dict[str, object]:
    payload = {"stripe_customer_id": reporter.customer, "value": value}
    return {"event_name": reporter.meter.event_name, "payload": payload, **fields}


def test_what_is_wrong_in_a_stream_is_reported_with_the_requests_key_alone(
    stripe: StripeClient, control: Handle, receiver: Receiver, destination: EventDestination
) -> None:
    reporter = Reporter(stripe)
    old = (datetime.now(UTC) - timedelta(days=36)).isoformat()
    nobody = event_of(reporter, "1") | {"payload": {"stripe_customer_id": "cus_nobody", "value": "1"}}
    events = [
        event_of(reporter, "5", identifier="stream-1"),
        event_of(reporter, "5", identifier="stream-1"),
        event_of(reporter, "7", timestamp=datetime.now(UTC).isoformat()),
        event_of(reporter, "1.5"),
        event_of(reporter, "x"),
        event_of(reporter, "1", timestamp=old),
        nobody,
    ]
    stream = streaming(stripe, control)
    stream.v2.billing.meter_event_stream.create({"events": events}, {"idempotency_key": "batch-1"})  # type: ignore[typeddict-item]
    assert reporter.total() == [12]
    [post] = receiver.wait_for(lambda posts: len(posts) == 1)
    told = stripe.parse_event_notification(post.body, post.signature, secret_of(destination))
    assert told.type == REPORTED
    whole = told.fetch_event()
    assert isinstance(whole, V1BillingMeterErrorReportTriggeredEvent)
    assert whole.related_object.id == reporter.meter.id
    assert whole.fetch_related_object().id == reporter.meter.id
    assert whole.data.reason.error_count == 4
    assert {kind.code: kind.error_count for kind in whole.data.reason.error_types} == {
        "meter_event_invalid_value": 2,
        "timestamp_too_far_in_past": 1,
        "meter_event_customer_not_found": 1,
    }
    samples = [sample for kind in whole.data.reason.error_types for sample in kind.sample_errors]
    assert {sample.request.identifier for sample in samples} == {"batch-1"}
    assert b"error_types" not in post.body


def test_usage_of_a_stopped_meter_and_of_none_is_reported(
    stripe: StripeClient, control: Handle, receiver: Receiver, destination: EventDestination
) -> None:
    reporter = Reporter(stripe)
    stripe.v1.billing.meters.deactivate(reporter.meter.id)
    events = [event_of(reporter, "1"), event_of(reporter, "1") | {"event_name": "no_such_meter"}]
    streaming(stripe, control).v2.billing.meter_event_stream.create({"events": events})  # type: ignore[typeddict-item]
    receiver.wait_for(lambda posts: len(posts) == 2)
    [archived] = stripe.v2.core.events.list({"object_id": reporter.meter.id}).data
    assert isinstance(archived, V1BillingMeterErrorReportTriggeredEvent)
    assert archived.data.reason.error_types[0].code == "archived_meter"
    since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    unknown = stripe.v2.core.events.list({"types": [NO_METER], "created": {"gte": since}, "limit": 1}).data[0]
    assert isinstance(unknown, V1BillingMeterNoMeterFoundEvent)
    assert unknown.data.reason.error_types[0].code == "no_meter"


def test_an_event_that_was_taken_alone_is_lost_where_a_fault_says_so(
    stripe: StripeClient,
    controls: Controls,  # noqa: F811 - the fixture
) -> None:
    reporter = Reporter(stripe)
    controls.ask("POST", "faults", answer="reported", path="/v1/billing/meter_events", code="archived_meter", times=1)
    reporter.report("3", identifier="lost")
    reporter.report("4", identifier="counted")
    assert reporter.total() == [4]
    [event] = stripe.v2.core.events.list({"object_id": reporter.meter.id}).data
    assert isinstance(event, V1BillingMeterErrorReportTriggeredEvent)
    assert [kind.code for kind in event.data.reason.error_types] == ["archived_meter"]


def test_a_destination_is_pinged_changed_disabled_and_enabled(
    stripe: StripeClient, receiver: Receiver, destination: EventDestination
) -> None:
    destinations = stripe.v2.core.event_destinations
    ping = destinations.ping(destination.id)
    [post] = receiver.wait_for(lambda posts: len(posts) == 1)
    assert stripe.parse_event_notification(post.body, post.signature, secret_of(destination)).id == ping.id
    assert stripe.v2.core.events.retrieve(ping.id).type == "v2.core.event_destination.ping"
    assert destinations.disable(destination.id).status == "disabled"
    assert destinations.enable(destination.id).status == "enabled"
    changed = destinations.update(destination.id, {"name": "Renamed", "metadata": {"of": None, "by": "us"}})
    assert changed.metadata is not None
    assert (changed.name, changed.metadata.to_dict()) == ("Renamed", {"by": "us"})
    shown = destinations.retrieve(destination.id, {"include": ["webhook_endpoint.url"]})
    assert shown.webhook_endpoint is not None
    assert (shown.webhook_endpoint.url, shown.webhook_endpoint.signing_secret) == (receiver.url, None)
    listed = destinations.list({"limit": 1})
    assert [each.id for each in listed.auto_paging_iter()].count(destination.id) == 1


def test_a_destination_of_snapshots_gets_events_as_v1_has_them(stripe: StripeClient, receiver: Receiver) -> None:
    made = stripe.v2.core.event_destinations.create(
        {
            "name": "Snapshots",
            "type": "webhook_endpoint",
            "event_payload": "snapshot",
            "enabled_events": ["product.created"],
            "webhook_endpoint": {"url": receiver.url},
            "include": ["webhook_endpoint.signing_secret"],
        }
    )
    product = stripe.v1.products.create({"name": "Told of"})
    [post] = receiver.wait_for(lambda posts: len(posts) == 1)
    event = stripe.construct_event(post.body, post.signature, secret_of(made))
    assert event.data.object["id"] == product.id
    stripe.v2.core.event_destinations.delete(made.id)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"type": "amazon_eventbridge"}, "type"),
        ({"enabled_events": ["no.such"]}, "enabled_events[0]"),
        ({"enabled_events": []}, "enabled_events"),
        ({"name": 5}, "name"),
        ({"webhook_endpoint": {}}, "webhook_endpoint[url]"),
        ({"snapshot_api_version": "2026-10-28.endive"}, "snapshot_api_version"),
        ({"events_from": ["@accounts"]}, "events_from"),
        ({"include": ["nothing"]}, "include[0]"),
        ({"unknown": "x"}, "unknown"),
    ],
)
def test_a_destination_that_cannot_be_is_refused(stripe: StripeClient, change: dict[str, object], param: str) -> None:
    fields = {
        "name": "x",
        "type": "webhook_endpoint",
        "event_payload": "thin",
        "enabled_events": [REPORTED],
        "webhook_endpoint": {"url": "http://127.0.0.1:1/"},
    } | change
    with pytest.raises(InvalidRequestError) as refused:
        stripe.v2.core.event_destinations.create(fields)  # type: ignore[arg-type]
    assert refusal(refused)[0] == param


def test_an_event_of_v2_is_judged_at_once_and_taken_back(stripe: StripeClient) -> None:
    reporter = Reporter(stripe)
    now = datetime.now(UTC).isoformat()
    made = stripe.v2.billing.meter_events.create(event_of(reporter, "9", identifier="v2-1", timestamp=now))  # type: ignore[arg-type]
    assert (made.identifier, made.payload["value"]) == ("v2-1", "9")
    assert reporter.total() == [9]
    with pytest.raises(InvalidRequestError, match="already exists"):
        stripe.v2.billing.meter_events.create(event_of(reporter, "9", identifier="v2-1"))  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError) as wrong:
        stripe.v2.billing.meter_events.create(event_of(reporter, "9", timestamp="yesterday"))  # type: ignore[arg-type]
    assert refusal(wrong)[0] == "timestamp"
    adjusted = stripe.v2.billing.meter_event_adjustments.create(
        {"type": "cancel", "event_name": reporter.meter.event_name, "cancel": {"identifier": "v2-1"}}
    )
    assert (adjusted.object, adjusted.status) == ("v2.billing.meter_event_adjustment", "complete")
    assert reporter.total() == []


def test_a_stream_takes_a_hundred_events_and_no_more(stripe: StripeClient, control: Handle) -> None:
    reporter = Reporter(stripe)
    stream = streaming(stripe, control).v2.billing.meter_event_stream
    events = [event_of(reporter, "2", identifier=f"many-{each}") for each in range(101)]
    with pytest.raises(InvalidRequestError):
        stream.create({"events": events})  # type: ignore[typeddict-item]
    for _ in range(2):
        stream.create({"events": events[:100]})  # type: ignore[typeddict-item]
    assert reporter.total() == [200]


def test_a_stream_asks_for_a_sessions_token(stripe: StripeClient, control: Handle) -> None:
    with pytest.raises(AuthenticationError):
        stripe.v2.billing.meter_event_stream.create({"events": []})
    session = stripe.v2.billing.meter_event_session.create()
    left = datetime.fromisoformat(session.expires_at) - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    with pytest.raises(AuthenticationError):
        streaming(stripe, control).v1.products.list()


class Later:
    """The machine's clock, some seconds ahead."""

    ahead_s = 0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.ahead_s, UTC)

    def steady_ms(self) -> int:
        raise NotImplementedError


def test_a_session_ends_after_a_quarter_of_an_hour(tmp_path: Path) -> None:
    machine = Later()
    with closing(Store(tmp_path / "sandbox.sqlite3")) as store:
        sandbox = Sandbox(key="sk_test_1", store=store, clock=SystemClock(), new_id=new_id, machine=machine)
        token = event_stream.open_session(sandbox, Asked(url="", ids=(), parameters={}))["authentication_token"]
        event_stream.authorize(sandbox, token)
        machine.ahead_s = 15 * 60
        with pytest.raises(StripeFault) as ended:
            event_stream.authorize(sandbox, token)
    assert (ended.value.kind, ended.value.code) == (
        "temporary_session_expired",
        "billing_meter_event_session_expired",
    )
