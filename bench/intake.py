"""Intake (d): events of 1 KB in batches of 100, sent to the collector over HTTP, until all are durable and metered.

Every batch has events of its own; one batch in 50 is sent a second time, as an agent does that missed its answer.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Struct

from bench.calling import Api, Line, read_metrics
from bench.cases import CHAT, Customer, Offer, make_customer, make_seed_offer
from bench.children import BenchError, cpu_seconds, wait_until
from bench.profiles import Profile
from bench.stack import running_control_plane
from faregate.base.clock import SystemClock

EVENT_BYTES: Final = 1_024
BATCH_EVENTS: Final = 100
CONNECTIONS: Final = 32
REPEAT_EVERY: Final = 50

_CREATED: Final = 201
_SERIAL_DIGITS: Final = 12
_TOKENS_DIGITS: Final = 4
_METERED_WITHIN_S: Final = 120.0
_POLL_S: Final = 0.05
_MICROSECONDS: Final = 1_000_000


class Intake(Struct, frozen=True, kw_only=True):
    """`events`: distinct ones, acknowledged within `load_s`. `metered_after_s`: from the last acknowledgement on.

    CPU is of all threads, until everything is metered. `lost` and `twice` count against what the API reads back;
    `tokens_off` is the difference of the metered sum.
    """

    events: int
    repeated: int
    load_s: float
    events_per_s: float
    control_plane_us_per_event: float
    generator_us_per_event: float
    metered_after_s: float
    lost: int
    twice: int
    tokens_off: int


@dataclass(slots=True)
class _Sent:
    events: int = 0
    repeated: int = 0
    tokens: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)

    def add(self, tokens: int, *, repeated: bool) -> None:
        """Count an acknowledged batch."""
        with self.guard:
            self.events += BATCH_EVENTS
            self.repeated += BATCH_EVENTS if repeated else 0
            self.tokens += tokens


def measure_intake(profile: Profile, show: Callable[[str], None]) -> Intake:
    """Load the collector for the profile's time, wait until everything is metered, and count what came of it."""
    with running_control_plane() as (control_plane, _, token, collector_id):
        api = Api(control_plane.port, token)
        # The collector needs no gateway, and so no upstream: the route is only what the meters' filter names.
        offer = make_seed_offer(api, "http://127.0.0.1:9")
        customer = make_customer(api, offer, "intake", pays="postpaid")
        show(f"intake: batches of {BATCH_EVENTS} events for {profile.intake_s:g} s")
        batches, sent = Batches(customer), _Sent()
        control_before_s, generator_before_s = cpu_seconds(control_plane.pid), time.process_time()
        started_s = time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as senders:
            until_s = started_s + profile.intake_s
            loads = [
                senders.submit(_Sender(control_plane.port, collector_id, batches, sent).send_until, until_s)
                for _ in range(CONNECTIONS)
            ]
            try:
                for load in loads:
                    load.result()
            finally:
                sent.stopping.set()
        ended_s = time.monotonic()
        show(f"intake: waiting until {sent.events} events are metered")
        _wait_metered(api, customer, offer, events=sent.events)
        metered_s = time.monotonic()
        control_s = cpu_seconds(control_plane.pid) - control_before_s
        generator_s = time.process_time() - generator_before_s
        wait_until(
            lambda: _unapplied(control_plane.port) == 0, within_s=_METERED_WITHIN_S, what="repeats to be dropped"
        )
        counted = _read_usage(api, customer, offer)
        api.close()
    load_s = ended_s - started_s
    return Intake(
        events=sent.events,
        repeated=sent.repeated,
        load_s=round(load_s, 3),
        events_per_s=round(sent.events / load_s, 1),
        control_plane_us_per_event=round(control_s * _MICROSECONDS / sent.events, 1),
        generator_us_per_event=round(generator_s * _MICROSECONDS / sent.events, 1),
        metered_after_s=round(metered_s - ended_s, 3),
        lost=max(0, sent.events - counted[0]),
        twice=max(0, counted[0] - sent.events),
        tokens_off=counted[1] - sent.tokens,
    )


class Batches:
    """Makes batches with as little work as can be: one template, in which a number and the tokens are written."""

    def __init__(self, customer: Customer) -> None:
        self._serials = itertools.count(1)
        self._head, self._middle, self._tail = _template(customer)

    def make(self) -> tuple[bytes, int]:
        """Return a JSON array of events that were in none before, and the sum of their prompt tokens."""
        events, tokens = [], 0
        for serial in itertools.islice(self._serials, BATCH_EVENTS):
            used = serial * 7 % 997
            tokens += used
            events.append(
                b"%b%0*d%b%*d%b" % (self._head, _SERIAL_DIGITS, serial, self._middle, _TOKENS_DIGITS, used, self._tail)
            )
        return b"[" + b",".join(events) + b"]", tokens


@dataclass(frozen=True, slots=True)
class _Sender:
    """One connection of an agent."""

    port: int
    collector_id: str
    batches: Batches
    sent: _Sent

    def send_until(self, until_s: float) -> None:
        """Send batches one after the other until the time on the monotonic clock."""
        line = Line(self.port)
        headers = {"content-type": "application/json", "x-moesif-application-id": self.collector_id}
        try:
            for number in itertools.count(1):
                if time.monotonic() >= until_s or self.sent.stopping.is_set():
                    return
                body, tokens = self.batches.make()
                times = 2 if number % REPEAT_EVERY == 0 else 1
                for _ in range(times):
                    status = line.call("POST", "/v1/events/batch", body=body, headers=headers).status
                    if status != _CREATED:
                        raise BenchError(f"the collector answered {status}")
                self.sent.add(tokens, repeated=times > 1)
        finally:
            line.close()


def _template(customer: Customer) -> tuple[bytes, bytes, bytes]:
    """Return an event of EVENT_BYTES in three parts: before its number, between number and tokens, after."""
    serial, tokens = "#" * _SERIAL_DIGITS, "~" * _TOKENS_DIGITS

    def event(padding: str) -> bytes:
        now = SystemClock().now().isoformat(timespec="milliseconds")
        document: dict[str, Any] = {
            "transaction_id": f"intake-{serial}",
            "company_id": customer.company_id,
            "request": {
                "time": now,
                "uri": f"https://api.example.com{CHAT}",
                "verb": "POST",
                "headers": {"content-type": "application/json", "user-agent": "bench", "x-padding": padding},
                "body": {"model": "faregate-demo", "stream": False},
            },
            "response": {
                "time": now,
                "status": 200,
                "headers": {"content-type": "application/json"},
                "body": {"usage": {"prompt_tokens": tokens, "completion_tokens": 10, "total_tokens": 10}},
            },
        }
        return msgspec.json.encode(document)

    # The tokens are a number: their quotation marks go.
    quoted = f'"{tokens}"'.encode()
    text = event("x" * (EVENT_BYTES + len(quoted) - _TOKENS_DIGITS - len(event("")))).replace(quoted, tokens.encode())
    head, _, rest = text.partition(serial.encode())
    middle, _, tail = rest.partition(tokens.encode())
    return head, middle, tail


def _wait_metered(api: Api, customer: Customer, offer: Offer, *, events: int) -> None:
    """Return once as many events as were sent are in the usage; what is lost is found by whoever counts next."""
    deadline_s = time.monotonic() + _METERED_WITHIN_S
    while _read_usage(api, customer, offer)[0] < events and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)


def _read_usage(api: Api, customer: Customer, offer: Offer) -> tuple[int, int]:
    """Return the events and the sum of prompt tokens that the customer's usage says."""
    meter_id = next(meter.meter_id for meter in offer.meters if meter.field == "prompt_tokens")
    found = api.get(f"/usage?company_id={customer.company_id}&meter_id={meter_id}&granularity=total")["data"]
    return sum(row["event_count"] for row in found), sum(int(row["quantity"]) for row in found)


def _unapplied(port: int) -> float:
    return read_metrics(port)["faregate_events_unapplied"]
