"""A call's way through the gateway: identified, decided, forwarded, metered."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from faregate.apps.gateway import answers
from faregate.domain.governance.rule import Cohort, Template
from faregate.wire.dialects.tokens import Tokens
from tests.gateway.control_plane import ControlPlane, package, rule_state
from tests.gateway.running import ASK, KEY, gateway, run
from tests.gateway.scripted import DONE, answer_json, chunk, completion, scripted, stream, usage_chunk


def test_a_json_answer_passes_unchanged_and_its_event_bears_the_usage(tmp_path: Path) -> None:
    async def scenario() -> None:
        body = completion(12, 40)
        async with scripted(answer_json(body)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(ASK)
                assert (answer.status, answer.body) == (200, body)
                (event,) = await plane.events_arrived(1)
        assert event.faregate is not None
        assert event.response is not None
        assert answer.headers["x-request-id"] == event.faregate.request_id
        assert event.request.route == "/ai/chat"
        assert event.request.uri.endswith("/ai/chat")
        assert (event.company_id, event.user_id) == ("acme", "user-of-key-1")
        assert event.response.body == {
            "id": "chatcmpl-1",
            "model": "demo",
            "usage": {"prompt_tokens": 12, "completion_tokens": 40, "total_tokens": 52},
            "tokens": msgspec.to_builtins(Tokens(input=12, output=40, total=52)),
        }
        assert event.request.body == {"model": "demo", "max_tokens": 100}
        assert not event.faregate.estimated
        assert sum(drawn.units for drawn in event.faregate.drawn) == 52
        assert upstream.requests[0].header("x-request-id") == event.faregate.request_id

    run(scenario())


@pytest.mark.parametrize("path", ["/ai/chat", "/ai/chat/", "/ai/chat/completions", "/ai/chat/chat/completions"])
def test_every_way_sdks_spell_the_route_reaches_the_upstreams_completions(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK, path=path + "?a=b")).status == 200
        assert upstream.requests[0].target == "/v1/chat/completions?a=b"

    run(scenario())


@pytest.mark.parametrize("path", ["/nothing", "/ai", "/ai/chatter", "/ai/chat/../admin", "/ai/chat/%2e%2e/admin"])
def test_a_path_of_no_route_is_404_in_openais_shape(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(ASK, path=path)
        assert answer.status == 404
        assert answer.error["type"] == "invalid_request_error"
        assert "x-request-id" in answer.headers
        assert not upstream.requests

    run(scenario())


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-goog-api-key", "api-key", "apikey"])
def test_a_key_is_read_from_every_usual_header_and_never_sent_upstream(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                good = await gate.call(ASK, headers={name: "Bearer key-1" if name == "authorization" else "key-1"})
                bad = await gate.call(ASK, headers={name: "Bearer key-2" if name == "authorization" else "key-2"})
        assert good.status == 200
        assert (bad.status, bad.error["code"], bad.error["type"]) == (401, "invalid_api_key", "invalid_request_error")
        assert len(upstream.requests) == 1
        sent = dict(upstream.requests[0].headers)
        assert "key-1" not in str(sent)
        assert sent["authorization"] == "Bearer sk-upstream"

    run(scenario())


def test_a_refusal_that_serves_many_calls_keeps_nothing_of_them(tmp_path: Path) -> None:
    async def scenario() -> None:
        plane = ControlPlane()
        plane.seed("http://127.0.0.1:1/v1")
        async with gateway(tmp_path, plane) as gate:
            assert (await gate.call(ASK, headers={"x-api-key": "key-2"})).status == 401
        kept = answers.INVALID_KEY
        assert (kept.__traceback__, kept.__context__, kept.__cause__) == (None, None, None)

    run(scenario())


def test_hop_by_hop_and_claimed_identity_headers_do_not_pass(tmp_path: Path) -> None:
    async def scenario() -> None:
        script = answer_json(
            completion(), connection="keep-alive, x-secret", x_secret="1", x_kept="2", x_request_id="theirs"
        )
        async with scripted(script) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                claimed = {"x-faregate-user": "a", "x-user-id": "b", "x-company-id": "c", "x-consumer-custom-id": "d"}
                hop = {"connection": "close, x-hop", "x-hop": "e", "te": "trailers", "x-end": "f"}
                answer = await gate.call(ASK, headers=KEY | claimed | hop)
        sent = dict(upstream.requests[0].headers)
        assert not set(claimed) & set(sent)
        assert not {"x-hop", "te"} & set(sent)
        assert sent["x-end"] == "f"
        assert sent["accept-encoding"] == "identity"
        assert "x-secret" not in answer.headers
        assert answer.headers["x-kept"] == "2"
        assert answer.headers["x-request-id"] != "theirs"

    run(scenario())


def test_a_stream_without_include_usage_is_asked_for_it_and_the_extra_chunk_is_removed(tmp_path: Path) -> None:
    async def scenario() -> None:
        events = [chunk("a"), chunk("b"), usage_chunk(7, 2), DONE]
        async with scripted(stream(*events)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(ASK | {"stream": True, "stream_options": {"other": 1.50}})
                assert answer.body == b"".join([chunk("a"), chunk("b"), DONE])
                (event,) = await plane.events_arrived(1)
        sent = upstream.requests[0].body
        assert b'"stream_options":{"other":1.5,"include_usage":true}' in sent
        assert event.response is not None
        usage = event.response.body["usage"]
        assert usage == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}

    run(scenario())


def test_a_caller_who_asked_for_usage_gets_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        events = [chunk("a"), usage_chunk(7, 1), DONE]
        async with scripted(stream(*events)) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(ASK | {"stream": True, "stream_options": {"include_usage": True}})
        assert answer.body == b"".join(events)

    run(scenario())


def test_a_request_that_is_not_streamed_gets_no_stream_options_and_keeps_its_numbers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                raw = b'{"messages":[{"role":"user","content":"x"}],"temperature":0.70,"seed":12345678901234567890}'
                assert (await gate.call(raw)).status == 200
        sent = upstream.requests[0].body
        assert b'"temperature":0.70,"seed":12345678901234567890,"max_tokens":1000}' in sent
        assert b"stream_options" not in sent

    run(scenario())


def test_a_rule_that_holds_the_company_refuses_with_its_own_answer_and_an_event(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            only_chat = [{"field": "request.route", "pattern": "/ai/chat"}]
            overdue = rule_state(Template.BLOCK_ON_UNPAID_INVOICES, "rul_2", block_what=only_chat)
            plane.put("rule", "rul_2", msgspec.structs.replace(overdue, status=429, headers={"Retry-After": "9"}))
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(ASK)).status == 200
                plane.put_in_cohort("acme", Cohort.UNPAID_INVOICES)
                answer = await gate.call_until(429)
                plane.put_in_cohort("acme")
                await gate.call_until(200)
                events = await plane.events_arrived(3)
        assert (answer.error["code"], answer.headers["retry-after"]) == ("invoice_overdue", "9")
        refused = [event for event in events if event.blocked_by is not None]
        assert {event.blocked_by for event in refused} == {"rul_2"}
        assert all(event.faregate is not None and not event.faregate.drawn for event in refused)

    run(scenario())


def test_a_body_over_the_routes_limit_is_413_and_never_read_further(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route={"max_request_bytes": 1_000})
            async with gateway(tmp_path, plane) as gate:
                base = len(json.dumps({"messages": [{"role": "user", "content": ""}]}, separators=(",", ":")))
                at_limit = {"messages": [{"role": "user", "content": "x" * (1_000 - base)}]}
                over = {"messages": [{"role": "user", "content": "x" * (1_001 - base)}]}
                assert (await gate.call(at_limit)).status == 200
                answer = await gate.call(over)
        assert (answer.status, answer.error["code"]) == (413, "request_too_large")
        assert len(upstream.requests) == 1

    run(scenario())


def test_an_upgrade_is_501(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                headers = KEY | {"connection": "upgrade", "upgrade": "websocket"}
                answer = await gate.call(method="GET", headers=headers)
        assert (answer.status, answer.error["code"]) == (501, "upgrade_not_supported")

    run(scenario())


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "file"}]}]},
            "messages[0].content[1]",
        ),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"messages": "x"}, "messages"),
    ],
)
def test_a_request_whose_usage_cannot_be_bounded_is_400_and_names_the_part(
    tmp_path: Path, change: dict[str, object], param: str
) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(ASK | change)
        assert (answer.status, answer.error["param"]) == (400, param)
        assert answer.error["type"] == "invalid_request_error"
        assert not upstream.requests

    run(scenario())


def test_other_posts_below_a_strict_chat_route_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(b"{}")) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                refused = await gate.call({"input": "x"}, path="/ai/chat/responses")
                listed = await gate.call(path="/ai/chat/models", method="GET")
        assert (refused.status, listed.status) == (404, 200)
        assert [request.target for request in upstream.requests] == ["/v1/models"]

    run(scenario())


def test_a_replay_key_dates_its_calls_and_no_other_key_does(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin)
            plane.add_key("key-r", "acme", replay=True)
            async with gateway(tmp_path, plane) as gate:
                said = {"x-faregate-occurred-at": "2023-11-16T18:15:46.680590Z"}
                assert (await gate.call(ASK, headers={"x-api-key": "key-r"} | said)).status == 200
                assert (await gate.call(ASK, headers=KEY | said)).status == 200
                bad = await gate.call(ASK, headers={"x-api-key": "key-r", "x-faregate-occurred-at": "yesterday"})
                events = await plane.events_arrived(2)
        assert events[0].request.time.isoformat() == "2023-11-16T18:15:46.680590+00:00"
        assert events[1].request.time.year > 2023
        assert bad.status == 400
        assert all(request.header("x-faregate-occurred-at") is None for request in upstream.requests)

    run(scenario())


def test_a_postpaid_account_needs_no_hold(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, granted=0)
            account = plane.entities["account", "sub_1"]
            plane.put("account", "sub_1", msgspec.structs.replace(account, prepaid=False))
            async with gateway(tmp_path, plane) as gate:
                raw = b'{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}'
                assert (await gate.call(raw)).status == 200
                (event,) = await plane.events_arrived(1)
        assert event.faregate is not None
        assert event.faregate.drawn == []
        assert upstream.requests[0].body == raw
        assert not plane.lease_requests

    run(scenario())


def test_a_meter_that_cannot_be_bounded_makes_a_strict_prepaid_route_answer_503(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion())) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, prices={"cost": package("cost", size=1, amount="1")})
            async with gateway(tmp_path, plane) as gate:
                answer = await gate.call(ASK)
        assert (answer.status, answer.error["code"]) == (503, "route_misconfigured")
        assert not upstream.requests

    run(scenario())
