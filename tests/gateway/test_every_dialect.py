"""What holds of every dialect: calls are bounded, forwarded, metered and refused in its own words."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from faregate.domain.governance.rule import Cohort, Template
from tests.gateway.control_plane import ControlPlane, free_port, rule_state
from tests.gateway.running import KEY, gateway, run
from tests.gateway.scripted import Received, answer_json, framed, scripted, stream
from tests.gateway.spoken import (
    CHAT,
    MESSAGES,
    OWN,
    RESPONSES,
    TEXTS,
    Spoken,
    every,
    is_estimated,
    providers,
    tokens_of,
)
from tests.support.dialect_streams import responses_stream


def limit_sent(request: Received, spoken: Spoken) -> object:
    return request.json[spoken.limit]


@every
def test_a_whole_answer_passes_unchanged_and_is_billed_what_it_reports(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        async with spoken.serve(tmp_path, answer_json(spoken.body)) as (gate, upstream):
            answer = await gate.call(spoken.ask)
            assert (answer.status, answer.body) == (200, spoken.body)
            (event,) = await gate.plane.events_arrived(1)
        assert gate.plane.accounts["sub_1"].settled == {"prc_input": 31, "prc_output": 17}
        assert gate.plane.accounts["sub_1"].outstanding() == 0
        assert (tokens_of(event), is_estimated(event)) == ((31, 17), False)
        assert upstream.requests[0].target == spoken.path
        assert limit_sent(upstream.requests[0], spoken) == 100

    run(scenario())


@every
def test_a_stream_passes_unchanged_and_is_billed_what_it_reports(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        sample = spoken.stream
        async with spoken.serve(tmp_path, stream(*sample.events)) as (gate, _):
            ask = spoken.ask | {"stream": True}
            if spoken is CHAT:
                ask["stream_options"] = {"include_usage": True}
            answer = await gate.call(ask)
            assert (answer.status, answer.body) == (200, sample.bytes)
            (event,) = await gate.plane.events_arrived(1)
        assert gate.plane.accounts["sub_1"].outstanding() == 0
        assert gate.plane.accounts["sub_1"].settled == {"prc_input": sample.read, "prc_output": sample.wrote}
        assert not is_estimated(event)

    run(scenario())


@every
def test_a_call_without_a_limit_is_given_the_routes_and_never_more_than_is_held(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        async with spoken.serve(tmp_path, answer_json(spoken.body), default_output_tokens=700) as (gate, upstream):
            ask = {name: value for name, value in spoken.ask.items() if name != spoken.limit}
            assert (await gate.call(ask)).status == 200
        assert limit_sent(upstream.requests[0], spoken) == 700

    run(scenario())


def _deflate(data: bytes) -> bytes:
    return zlib.compress(data)


def _stored_brotli(data: bytes) -> bytes:
    """One uncompressed metablock (RFC 7932, 9.2), for which no compressor is needed."""
    length = len(data) - 1
    # Bits: WBITS 16 (0), ISLAST 0, MNIBBLES 4 (00), length - 1 (16 bits), ISUNCOMPRESSED 1; then ISLAST, ISEMPTY.
    return ((length << 4) | (1 << 20)).to_bytes(3, "little") + data + b"\x03"


def _stored_zstd(data: bytes) -> bytes:
    """A frame of one raw block (RFC 8878, 3.1), for which no compressor is needed."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0b1010_0000]) + len(data).to_bytes(4, "little")
    return header + ((len(data) << 3) | 1).to_bytes(3, "little") + data


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("deflate", _deflate), ("br", _stored_brotli), ("zstd", _stored_zstd)],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_compressed_answer_is_decoded_to_be_metered(
    tmp_path: Path, *, coding: str, compress: Callable[[bytes], bytes], streamed: bool
) -> None:
    async def scenario() -> None:
        body = MESSAGES.stream.bytes if streamed else MESSAGES.body

        async def script(_: Received, writer: asyncio.StreamWriter) -> None:
            kind = "text/event-stream" if streamed else "application/json"
            head = (
                f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-encoding: {coding}\r\n"
                f"transfer-encoding: chunked\r\n\r\n"
            )
            writer.write(head.encode() + framed(compress(body)) + b"0\r\n\r\n")

        async with MESSAGES.serve(tmp_path, script) as (gate, upstream):
            answer = await gate.call(MESSAGES.ask | {"stream": streamed}, headers=KEY | {"accept-encoding": coding})
            assert (answer.status, answer.body) == (200, body)
            assert "content-encoding" not in answer.headers
            (event,) = await gate.plane.events_arrived(1)
        assert upstream.requests[0].header("accept-encoding") == "identity"
        assert not is_estimated(event)
        assert gate.plane.accounts["sub_1"].settled["prc_output"] == 17

    run(scenario())


@every
def test_usage_in_an_error_is_kept_and_billed_only_where_the_meter_counts_that_status(
    tmp_path: Path, spoken: Spoken
) -> None:
    async def scenario() -> None:
        async with spoken.serve(tmp_path, answer_json(spoken.body, 422)) as (gate, _):
            answer = await gate.call(spoken.ask)
            (event,) = await gate.plane.events_arrived(1)
        assert (answer.status, answer.body) == (422, spoken.body)
        assert (tokens_of(event), is_estimated(event)) == ((31, 17), False)
        assert event.faregate is not None
        assert not any(drawn.units for drawn in event.faregate.drawn)

    run(scenario())


@every
def test_an_error_without_usage_estimates_nothing(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        async with spoken.serve(tmp_path, answer_json(b'{"error":{"message":"busy"}}', 503)) as (gate, _):
            assert (await gate.call(spoken.ask)).status == 503
            (event,) = await gate.plane.events_arrived(1)
        assert (tokens_of(event), is_estimated(event)) == (None, False)

    run(scenario())


@every
def test_an_upstream_that_tells_no_usage_is_estimated_within_the_calls_bound(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        silent = {name: value for name, value in spoken.whole.items() if name not in {"usage", "meter"}}
        async with spoken.serve(tmp_path, answer_json(msgspec.json.encode(silent))) as (gate, _):
            assert (await gate.call(spoken.ask)).status == 200
            (event,) = await gate.plane.events_arrived(1)
        assert is_estimated(event)
        read, wrote = tokens_of(event) or (0, 0)
        assert read >= 5
        assert wrote == -(-len("".join(TEXTS)) // 4)

    run(scenario())


@every
def test_every_refusal_is_in_the_dialects_own_form(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        plane = ControlPlane()
        spoken.seed(
            plane,
            f"http://127.0.0.1:{free_port()}/v1",
            models=["m"],
            max_request_bytes=500,
            connect_timeout_ms=300,
            least_output_tokens=50,
            hold_wait_ms=200,
        )
        plane.put("rule", "rul_2", rule_state(Template.BLOCK_ON_UNPAID_INVOICES, "rul_2"))
        plane.add_key("key-2", "late")
        plane.put_in_cohort("late", Cohort.UNPAID_INVOICES)
        async with gateway(tmp_path, plane) as gate:
            upgrade = KEY | {"connection": "upgrade", "upgrade": "websocket"}
            answers = [
                await gate.call(spoken.ask, headers={"x-api-key": "nobody's"}),
                await gate.call(spoken.ask, headers={}),
                await gate.call(spoken.ask, headers={"x-api-key": "key-2"}),
                await gate.call(spoken.ask | {"model": "n"}),
                await gate.call(spoken.ask | {"more": "x" * 500}),
                await gate.call(b"no JSON"),
                await gate.call(spoken.ask),
                await gate.call(spoken.ask, headers=upgrade),
            ]
            plane.accounts["sub_1"].granted = 0
            plane.lease_ms = 1
            await plane.events_arrived(2)
            answers.append(await gate.call(spoken.ask | {spoken.limit: 100_000}))
        found = [(answer.status, answer.error["type"], answer.error.get("code")) for answer in answers]
        openai = [
            (401, "invalid_request_error", "invalid_api_key"),
            (401, "invalid_request_error", "invalid_api_key"),
            (402, "insufficient_quota", "invoice_overdue"),
            (403, "invalid_request_error", "model_not_allowed"),
            (413, "invalid_request_error", "request_too_large"),
            (400, "invalid_request_error", "invalid_request"),
            (502, "server_error", "upstream_unavailable"),
            (501, "invalid_request_error", "upgrade_not_supported"),
            (402, "insufficient_quota", "credit_balance_exhausted"),
        ]
        anthropics = {
            401: "authentication_error",
            402: "billing_error",
            403: "permission_error",
            413: "request_too_large",
            400: "invalid_request_error",
            502: "api_error",
            501: "api_error",
        }
        if spoken is MESSAGES:
            assert found == [(status, anthropics[status], code) for status, _, code in openai]
            assert all(answer.json["type"] == "error" for answer in answers)
        else:
            assert found == openai
        assert all(answer.headers["x-request-id"].startswith("req_") for answer in answers)
        no_retry = [answer.headers.get("x-should-retry") for answer in answers if answer.status == 402]
        assert no_retry == ["false", "false"]
        assert not any("retry-after" in answer.headers for answer in answers if answer.status == 402)

    run(scenario())


@every
def test_an_upstream_that_is_too_slow_is_504_in_the_dialects_form(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        async def silent(_: Received, __: asyncio.StreamWriter) -> None:
            await asyncio.sleep(5)

        async with spoken.serve(tmp_path, silent, read_timeout_ms=150, total_timeout_ms=300) as (gate, _):
            answer = await gate.call(spoken.ask)
            (event,) = await gate.plane.events_arrived(1)
        assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")
        assert answer.error["type"] == ("timeout_error" if spoken is MESSAGES else "server_error")
        assert tokens_of(event) is None

    run(scenario())


PARTS: dict[str, tuple[dict[str, object], str]] = {
    "openai_chat": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "x" * 900}}]}]},
        "messages[0].content[0]",
    ),
    "openai_responses": (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:" + "x" * 900}]}]},
        "input[0].content[0]",
    ),
    "anthropic_messages": (
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"data": "x" * 900}}]}]},
        "messages[0].content[0]",
    ),
}


@providers
def test_an_image_is_refused_on_a_strict_route_unless_its_tokens_are_bounded(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        change, named = PARTS[spoken.dialect.name]
        async with spoken.serve(tmp_path, answer_json(spoken.body)) as (gate, _):
            refused = await gate.call(spoken.ask | change)
            assert (refused.status, refused.error["param"]) == (400, named)
            route = gate.plane.entities["route", "rte_1"]
            gate.plane.put("route", "rte_1", msgspec.structs.replace(route, parts={"image": 2_000}))
            await gate.call_until(200, spoken.ask | change)
            held = {unit.price_id: unit.call for unit in gate.plane.lease_requests[0].units}
        # Two thousand for the image, and nothing for its 900 bytes.
        assert 2_000 < held["prc_input"] < 2_400

    run(scenario())


@every
def test_other_paths_below_a_strict_route_are_refused_or_metered(tmp_path: Path, spoken: Spoken) -> None:
    async def scenario() -> None:
        async with spoken.serve(tmp_path, answer_json(spoken.body)) as (gate, upstream):
            answer = await gate.call(spoken.ask, path="/ai/chat/some where/else")
            if spoken is OWN:
                (event,) = await gate.plane.events_arrived(1)
                assert tokens_of(event) == (31, 17)
                assert upstream.requests[0].target == "/own/some%20where/else"
            else:
                assert (answer.status, len(upstream.requests)) == (404, 0)

    run(scenario())


def test_a_question_to_an_api_of_your_own_is_metered_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with OWN.serve(tmp_path, answer_json(OWN.body), enforce="none") as (gate, upstream):
            assert (await gate.call(path="/ai/chat/found?q=moon", method="GET")).body == OWN.body
            (event,) = await gate.plane.events_arrived(1)
        assert upstream.requests[0].target == "/own/found?q=moon"
        assert tokens_of(event) == (31, 17)

    run(scenario())


def test_the_usage_of_a_last_event_too_large_to_be_kept_is_billed(tmp_path: Path) -> None:
    async def scenario() -> None:
        sample = responses_stream(TEXTS, instructions="x" * (5 << 20))
        async with RESPONSES.serve(tmp_path, stream(*sample.events)) as (gate, _):
            answer = await gate.call(RESPONSES.ask | {"stream": True})
            assert answer.body == sample.bytes
            (event,) = await gate.plane.events_arrived(1)
        assert not is_estimated(event)
        assert gate.plane.accounts["sub_1"].settled == {"prc_input": sample.read, "prc_output": sample.wrote}

    run(scenario())


def test_a_response_too_low_for_its_upstream_is_never_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(RESPONSES.body)) as upstream:
            plane = ControlPlane()
            RESPONSES.seed(plane, upstream.origin, least_output_tokens=1)
            # Of the output's price, 10 units are affordable; the upstream takes no limit under 16.
            prices = plane.accounts["sub_1"].prices
            plane.accounts["sub_1"].granted = 500_000_000
            assert set(prices) == {"prc_input", "prc_output"}
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(RESPONSES.ask)
        assert answer.status == 402
        assert not upstream.requests

    run(scenario())
