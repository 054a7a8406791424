"""What a caller asks of the gateway itself, answered by a real control plane."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from faregate.apps.gateway.asking_rate import ASKED_AT_ONCE, AskingRate
from tests.gateway.control_plane import ControlPlane
from tests.gateway.running import ASK, KEY, Answer, Running, gateway, run
from tests.gateway.scripted import answer_json, completion, scripted
from tests.gateway.whole import whole

OTHERS = {"authorization": "Bearer key-2"}


def quote_body(request: object = ASK, route: str = "/ai/chat") -> dict[str, object]:
    return {"route": route, "request": request}


async def quote(gate: Running, request: object = ASK, route: str = "/ai/chat") -> Answer:
    return await gate.call(quote_body(request, route), path="/v1/quote")


async def get(gate: Running, path: str, headers: dict[str, str] | None = None) -> Answer:
    return await gate.call(path=path, method="GET", headers=headers)


def only(rows: object) -> dict[str, object]:
    assert isinstance(rows, list)
    (row,) = rows
    assert isinstance(row, dict)
    return row


def test_a_quote_says_what_the_call_would_hold_and_sends_nothing_upstream(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(12, 40))) as upstream, whole(tmp_path, upstream.origin) as both:
            answer = await quote(both.gate)
            assert answer.status == 200, answer.body
            assert not upstream.requests
            found = answer.json
            bound = len(msgspec.json.encode(ASK)) + 2 * 16
            assert found["tokens"] == {"input": bound, "input_estimate": 3, "output": 100}
            assert (found["held"], found["affordable"], found["refusal"], found["choices"]) == (True, True, None, 1)
            assert (found["affordable_max_tokens"], found["least_max_tokens"]) == (4_500, 100)
            subscription = only(found["subscriptions"])
            assert (subscription["hold"], subscription["amount"]) == ("0.60", "0.60")
            assert (subscription["balance"], subscription["available"], subscription["currency"]) == (
                "5.00",
                "5.00",
                "USD",
            )
            lines = subscription["lines"]
            assert isinstance(lines, list)
            assert [(line["name"], line["units"], line["amount"]) for line in lines] == [
                ("Input Tokens", bound, "0.50"),
                ("Output Tokens", 100, "0.10"),
            ]

    run(scenario())


def test_exactly_the_affordable_max_tokens_pass_and_one_more_does_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            scripted(answer_json(completion(12, 40))) as upstream,
            whole(tmp_path, upstream.origin, granted="0.80", least_output_tokens=1_000, hold_wait_ms=0) as both,
        ):
            asked = ASK | {"n": 2, "max_tokens": 500}
            found = (await quote(both.gate, asked)).json
            assert (found["affordable"], found["affordable_max_tokens"], found["choices"]) == (False, 150, 2)
            assert (await both.gate.call(asked | {"max_tokens": 151})).status == 402
            assert (await both.gate.call(asked | {"max_tokens": 150})).status == 200
            assert upstream.requests[0].json["max_tokens"] == 150

    run(scenario())


def test_a_caller_sees_a_call_in_balance_and_usage_as_soon_as_it_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(12, 40))) as upstream, whole(tmp_path, upstream.origin) as both:
            for calls in range(1, 4):
                called = await both.gate.call(ASK)
                balance = only((await get(both.gate, "/v1/balance")).json["subscriptions"])
                assert balance["balance"] == f"{4.5 - 0.04 * calls:.2f}"
                usage = (await get(both.gate, "/v1/usage")).json["prices"]
                assert isinstance(usage, list)
                assert [(price["quantity"], price["amount"]) for price in usage] == [
                    (str(12 * calls), "0.50"),
                    (str(40 * calls), f"{0.04 * calls:.2f}"),
                ]
                cost = (await get(both.gate, f"/v1/usage?request_id={called.headers['x-request-id']}")).json
                assert cost["cost"] == ("0.54" if calls == 1 else "0.04")
            today = datetime.now(UTC).date()
            days = await get(both.gate, f"/v1/usage?from={today - timedelta(days=1)}&to={today + timedelta(days=2)}")
            rows = days.json["days"]
            assert isinstance(rows, list)
            assert sum(int(row["quantity"]) for row in rows) == 3 * 52

    run(scenario())


def test_another_companys_key_sees_nothing_of_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(12, 40))) as upstream, whole(tmp_path, upstream.origin) as both:
            called = await both.gate.call(ASK)
            path = f"/v1/usage?request_id={called.headers['x-request-id']}"
            others = await get(both.gate, path, OTHERS)
            assert (others.status, others.error["code"]) == (404, "unknown_call")
            assert (await get(both.gate, "/v1/balance", OTHERS)).json == {"company_id": "globex", "subscriptions": []}
            assert (await get(both.gate, path)).status == 200

    run(scenario())


def test_who_is_blocked_still_reads_the_balance_and_is_told_the_refusal_with_a_quote(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            scripted(answer_json(completion(12, 40))) as upstream,
            whole(tmp_path, upstream.origin, granted=None) as both,
        ):
            assert (await both.gate.call(ASK)).status == 402
            assert only((await get(both.gate, "/v1/balance")).json["subscriptions"])["exhausted"] is True
            found = (await quote(both.gate)).json
            assert (found["affordable"], found["affordable_max_tokens"]) == (False, 0)
            refusal = found["refusal"]
            assert isinstance(refusal, dict)
            assert (refusal["status"], refusal["body"]["error"]["code"]) == (402, "credit_balance_exhausted")
            assert not upstream.requests

    run(scenario())


def test_a_postpaid_call_has_a_price_and_no_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with (
            scripted(answer_json(completion(12, 40))) as upstream,
            whole(tmp_path, upstream.origin, granted=None, pays="postpaid") as both,
        ):
            found = (await quote(both.gate)).json
            assert (found["held"], found["affordable"], found["affordable_max_tokens"]) == (False, True, None)
            assert only(found["subscriptions"])["amount"] == "0.60"

    run(scenario())


def test_a_quote_for_a_model_that_the_route_does_not_have_tells_the_refusal(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with whole(tmp_path, "http://127.0.0.1:9", models=["other"]) as both:
            refusal = (await quote(both.gate)).json["refusal"]
            assert isinstance(refusal, dict)
            assert (refusal["status"], refusal["body"]["error"]["code"]) == (403, "model_not_allowed")

    run(scenario())


def test_a_cap_that_is_used_up_is_told_with_a_quote_and_the_balance_is_still_read(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(12, 40))) as upstream, whole(tmp_path, upstream.origin) as both:
            await both.limit("requests", "2")
            for _ in range(2):
                assert (await both.gate.call(ASK)).status == 200
            await both.gate.call_until(429)
            refusal = (await quote(both.gate)).json["refusal"]
            assert isinstance(refusal, dict)
            assert (refusal["status"], refusal["body"]["error"]["code"]) == (429, "spend_limit_exceeded")
            assert (await get(both.gate, "/v1/balance")).status == 200

    run(scenario())


def test_a_route_that_refuses_near_zero_has_no_lower_limit_than_the_callers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with whole(tmp_path, "http://127.0.0.1:9", granted="0.80", near_zero="refuse") as both:
            found = (await quote(both.gate, ASK | {"max_tokens": 2_000})).json
            assert (found["affordable"], found["affordable_max_tokens"]) == (False, 300)
            assert found["least_max_tokens"] == 2_000

    run(scenario())


@pytest.mark.parametrize(
    ("dialect", "request_body", "bound"),
    [
        ("openai_responses", {"model": "demo", "input": "Hello", "max_output_tokens": 70}, 70),
        ("anthropic_messages", {"model": "d", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 80}, 80),
    ],
)
def test_every_dialect_is_quoted_by_its_own_limit(
    tmp_path: Path, dialect: str, request_body: dict[str, object], bound: int
) -> None:
    async def scenario() -> None:
        async with whole(tmp_path, "http://127.0.0.1:9", dialect=dialect, enforce="none") as both:
            answer = await quote(both.gate, request_body)
            assert answer.status == 200, answer.body
            tokens = answer.json["tokens"]
            assert isinstance(tokens, dict)
            assert tokens["output"] == bound
            assert tokens["input"] > tokens["input_estimate"] > 0
            # Chat's names of usage are none of this dialect's: nothing in the request bounds them.
            subscription = only(answer.json["subscriptions"])
            assert (subscription["lines"], subscription["unbounded"]) == ([], ["Input Tokens", "Output Tokens"])

    run(scenario())


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (quote_body(route="/nothing"), "route"),
        (quote_body(route="/ai/chat/models"), "route"),
        (quote_body({"model": "demo", "messages": 7}), "request.messages"),
        (quote_body(ASK | {"max_tokens": -1}), "request.max_tokens"),
        ({"route": "/ai/chat"}, "request"),
        (b"{", "body"),
    ],
)
def test_a_quote_that_cannot_be_names_the_field(tmp_path: Path, body: object, param: str) -> None:
    async def scenario() -> None:
        async with gateway_alone(tmp_path) as gate:
            answer = await gate.call(body, path="/v1/quote")
            assert (answer.status, answer.error["param"]) == (400, param), answer.body

    run(scenario())


def gateway_alone(tmp_path: Path) -> AbstractAsyncContextManager[Running]:
    plane = ControlPlane()
    plane.seed("http://127.0.0.1:9")
    return gateway(tmp_path, plane)


def test_a_route_without_a_meter_of_its_requests_has_no_quote(tmp_path: Path) -> None:
    async def scenario() -> None:
        plane = ControlPlane()
        plane.seed("http://127.0.0.1:9", route={"dialect": "none", "enforce": "none"})
        async with gateway(tmp_path, plane) as gate:
            answer = await quote(gate)
            assert (answer.status, answer.error["param"]) == (400, "route")

    run(scenario())


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/quote"), ("GET", "/v1/balance"), ("GET", "/v1/usage")])
def test_without_a_control_plane_there_is_no_answer_and_without_a_key_neither(
    tmp_path: Path, method: str, path: str
) -> None:
    async def scenario() -> None:
        async with gateway_alone(tmp_path) as gate:
            body = quote_body() if method == "POST" else None
            unknown = await gate.call(body, path=path, method=method, headers={"authorization": "Bearer nobody"})
            assert (unknown.status, unknown.error["code"]) == (401, "invalid_api_key")
            assert (await gate.call(body, path=path, method=method, headers={})).status == 401
            wrong = await gate.call(path=path, method="DELETE")
            assert (wrong.status, wrong.headers["allow"]) == (405, method)
            gate.plane.failing = True
            away = await gate.call(body, path=path, method=method)
            assert (away.status, away.error["code"]) == (503, "credit_unavailable")
            assert "x-request-id" in away.headers

    run(scenario())


@pytest.mark.parametrize("query", ["from=yesterday&to=2026-03-02", "from=2026-03-01", "from=2026-03-01&to=2026-09-01"])
def test_days_that_cannot_be_told_are_refused_with_the_field(tmp_path: Path, query: str) -> None:
    async def scenario() -> None:
        async with whole(tmp_path, "http://127.0.0.1:9") as both:
            answer = await get(both.gate, f"/v1/usage?{query}")
            assert answer.status == 400
            assert answer.error["param"] in {"from", "to"}

    run(scenario())


def test_a_company_that_asks_too_often_is_told_when_to_ask_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with whole(tmp_path, "http://127.0.0.1:9") as both:
            answers = await asyncio.gather(*[get(both.gate, "/v1/balance") for _ in range(3 * ASKED_AT_ONCE)])
            refused = [answer for answer in answers if answer.status != 200]
            assert len(answers) - len(refused) >= ASKED_AT_ONCE
            assert refused
            for answer in refused:
                assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
                assert int(answer.headers["retry-after"]) >= 1
            assert (await get(both.gate, "/v1/balance", OTHERS)).status == 200

    run(scenario())


def test_asking_is_a_bucket_that_fills_again() -> None:
    now_ms = [1_000]
    rate = AskingRate(lambda: now_ms[0])
    assert [rate.wait_s("acme") for _ in range(ASKED_AT_ONCE)] == [0] * ASKED_AT_ONCE
    assert rate.wait_s("acme") == 1
    assert rate.wait_s("globex") == 0
    now_ms[0] += 100
    assert [rate.wait_s("acme"), rate.wait_s("acme")] == [0, 1]
    now_ms[0] += 10_000
    assert [rate.wait_s("acme") for _ in range(ASKED_AT_ONCE + 1)] == [0] * ASKED_AT_ONCE + [1]


def test_a_route_named_as_one_of_these_paths_does_not_stand_before_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(answer_json(completion(12, 40))) as upstream:
            plane = ControlPlane()
            plane.seed(upstream.origin, route={"name": "/v1"})
            async with gateway(tmp_path, plane) as gate:
                assert (await gate.call(path="/v1/balance", method="GET", headers=KEY)).status == 503
                assert not upstream.requests

    run(scenario())
