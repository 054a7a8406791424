import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPConnection

import pytest

from faregate.base.clock import SystemClock
from faregate.base.limits import MAX_COLLECTOR_BODY_BYTES, MAX_EVENTS_PER_BATCH
from tests.control.control_plane import Handle

SENT_AT = f"{SystemClock().now():%Y-%m-%dT%H:%M:%S}.000"
"""Lately: what is older than 35 days does not count. Agents send UTC without a zone."""


def event(number: int = 1, **more: object) -> dict[str, object]:
    return {
        "request": {"time": SENT_AT, "uri": "http://api/ai/chat", "verb": "POST"},
        "response": {"time": SENT_AT, "status": 200},
        "transaction_id": f"call-{number}",
    } | more


def batch(*events: object) -> bytes:
    return json.dumps(events).encode()


def test_a_batch_is_answered_201_and_each_of_its_events_is_in_the_log(control: Handle) -> None:
    reply = control.collect(batch(event(1), event(2), event(3)))
    assert (reply.status, reply.body) == (201, b"")
    assert [json.loads(body)["transaction_id"] for body in control.logged_events()] == ["call-1", "call-2", "call-3"]


def test_one_event_is_answered_201(control: Handle) -> None:
    assert control.collect(json.dumps(event()).encode(), "/v1/events").status == 201
    assert len(control.logged_events()) == 1


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes), ("GZIP", gzip.compress)],
)
def test_bodies_are_unpacked_as_agents_pack_them(control: Handle, encoding: str, pack: type[bytes]) -> None:
    assert control.collect(pack(batch(event())), content_encoding=encoding).status == 201
    assert len(control.logged_events()) == 1


def test_a_bad_event_does_not_fail_its_batch_and_is_set_aside(control: Handle) -> None:
    reply = control.collect(batch(event(1), {"request": 7}, "no event", event(2)))
    assert reply.status == 201
    assert len(control.logged_events()) == 4
    assert _wait_for(lambda: control.counted() == (0, 2))


@pytest.mark.parametrize("body", [b"[{]", b"", b'{"request": {}}', b"[1, 2", b"\xff\xfe"])
def test_a_body_that_is_no_json_array_is_a_problem_that_names_the_body(control: Handle, body: bytes) -> None:
    reply = control.collect(body)
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["errors"] == [{"field": "body", "message": reply.json()["errors"][0]["message"]}]  # type: ignore[index]
    assert control.logged_events() == []


def test_an_array_sent_as_one_event_is_a_problem_that_says_where_arrays_go(control: Handle) -> None:
    reply = control.collect(batch(event()), "/v1/events")
    assert reply.status == 400
    assert "/v1/events/batch" in reply.body.decode()


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", b"no gzip"), ("deflate", b"[]"), ("gzip", gzip.compress(b"[]", mtime=0)[:-9])]
)
def test_a_body_that_is_not_packed_as_it_says_is_a_problem_that_names_the_header(
    control: Handle, encoding: str, body: bytes
) -> None:
    reply = control.collect(body, content_encoding=encoding)
    assert reply.status == 400
    assert "Content-Encoding" in reply.body.decode()


def test_an_encoding_that_is_not_read_is_refused_with_415(control: Handle) -> None:
    assert control.collect(b"[]", content_encoding="br").status == 415


@pytest.mark.parametrize("credential", ["", "fg_collector_of_nobody"])
def test_without_a_known_collector_id_nothing_is_taken(control: Handle, credential: str) -> None:
    reply = control.collect(batch(event()), x_moesif_application_id=credential)
    assert reply.status == 401
    assert reply.json()["code"] == "unauthorized"
    assert control.logged_events() == []


def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_refused_with_413(control: Handle) -> None:
    one = batch(event())
    padding = b" " * (MAX_COLLECTOR_BODY_BYTES - len(one))
    assert control.collect(one + padding).status == 201
    refused = control.collect(one + padding + b" ")
    assert refused.status == 413
    assert refused.json()["code"] == "too_large"
    assert len(control.logged_events()) == 1


def test_a_body_of_20_megabytes_is_read_to_its_end_so_that_the_caller_sees_the_refusal(control: Handle) -> None:
    assert control.collect(b" " * (20 << 20)).status == 413


def test_a_body_that_unpacks_to_more_than_the_limit_is_refused_with_413(control: Handle) -> None:
    packed = gzip.compress(b"[" + b" " * MAX_COLLECTOR_BODY_BYTES + b"]")
    assert len(packed) < 100_000
    assert control.collect(packed, content_encoding="gzip").status == 413


def test_a_body_without_a_length_is_counted_as_it_comes(control: Handle) -> None:
    chunks = (b" " * (1 << 20) for _ in range(13))
    assert _send_chunked(control, chunks) == 413


def test_a_batch_over_the_limit_of_events_is_refused_with_413(control: Handle) -> None:
    assert control.collect(batch(*range(MAX_EVENTS_PER_BATCH))).status == 201
    assert control.collect(batch(*range(MAX_EVENTS_PER_BATCH + 1))).status == 413


@pytest.mark.parametrize("name", ["faregate", "\\u0066aregate"])
def test_an_agent_cannot_state_the_facts_of_a_gateway(control: Handle, name: str) -> None:
    plain = json.dumps(event())
    forged = plain[:-1] + f', "{name}": {{"gateway_id": "gtw_1", "drawn": []}}' + "}"
    assert control.collect(f"[{forged}]".encode()).status == 201
    assert json.loads(control.logged_events()[0]) == event()


def test_another_path_is_a_problem_and_another_method_says_which_are_there(control: Handle) -> None:
    missing = control.ask("GET", "/v1/nothing")
    assert (missing.status, missing.json()["code"]) == (404, "not_found")
    wrong = control.ask("GET", "/v1/events")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


def _send_chunked(control: Handle, chunks: Iterator[bytes]) -> int:
    connection = HTTPConnection("127.0.0.1", control.running.port, timeout=20)
    headers = {"x-moesif-application-id": control.collector_id, "transfer-encoding": "chunked"}
    connection.request("POST", "/v1/events/batch", chunks, headers, encode_chunked=True)
    status = connection.getresponse().status
    connection.close()
    return status


def _wait_for(holds: Callable[[], bool]) -> bool:
    for _ in range(200):
        if holds():
            return True
        time.sleep(0.02)
    return False
