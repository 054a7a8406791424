import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import pytest

from faregate.apps.story.calling import Caller, loopback_client
from faregate.apps.story.chat import ChatCall, Tokens, story_call
from faregate.apps.story.management import Management, Refused
from faregate.apps.upstream.serving import running_upstream
from faregate.base.errors import Unavailable
from faregate.wire.api.catalog import PlanView
from tests.story.server import OK_JSON, UNAVAILABLE, answering

T = TypeVar("T")

UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnone"
PLAN = b'HTTP/1.1 200 OK\r\ncontent-length: 37\r\n\r\n{"plan_id":"pln_1","name":"The plan"}'


def with_upstream(ask: Callable[[Caller], Awaitable[T]]) -> T:
    """Let a caller ask the demo upstream itself: it takes any key."""

    async def run() -> T:
        async with running_upstream() as upstream, loopback_client() as client:
            return await ask(Caller(client, gateway=upstream.origin, key="any"))

    return asyncio.run(run())


def with_answers(answer: Callable[[bytes], bytes], ask: Callable[[str], Awaitable[T]]) -> T:
    async def run() -> T:
        async with answering(answer) as origin:
            return await ask(origin)

    return asyncio.run(run())


def directed(call: ChatCall, **headers: str) -> ChatCall:
    named = {f"x-demo-{name.replace('_', '-')}": value for name, value in headers.items()}
    return ChatCall(body=call.body, headers=call.headers | named, stream=call.stream)


def test_a_whole_answer_and_a_stream_are_both_read() -> None:
    tokens = Tokens(prompt=400, completion=40)
    whole = with_upstream(lambda caller: caller.ask(story_call(tokens)))
    streamed = with_upstream(lambda caller: caller.ask(story_call(tokens, stream=True)))
    assert (whole.status, streamed.status) == (200, 200)
    assert whole.text
    assert streamed.text
    assert streamed.chunks == 5  # the role, 40 tokens in three, the end
    assert 0 < streamed.first_ms <= streamed.whole_ms


def test_a_caller_who_leaves_has_only_the_first_chunks() -> None:
    call = story_call(Tokens(prompt=400, completion=1_600), stream=True, token_ms=1)
    left = with_upstream(lambda caller: caller.ask(call, leave_after_chunks=3))
    assert left.chunks == 3


def test_a_refusal_is_read_with_its_type_code_and_message() -> None:
    call = directed(story_call(Tokens(prompt=400, completion=1)), fail_status="429")
    refused = with_upstream(lambda caller: caller.ask(call))
    assert refused.status == HTTPStatus.TOO_MANY_REQUESTS
    assert refused.error is not None
    assert (refused.error.type, refused.error.code) == ("invalid_request_error", "demo_failure")


def test_a_stream_that_breaks_is_no_answer() -> None:
    call = directed(story_call(Tokens(prompt=400, completion=100), stream=True), break_after="2")
    with pytest.raises(Unavailable):
        with_upstream(lambda caller: caller.ask(call))


def test_a_refusal_in_no_known_shape_is_still_told() -> None:
    async def ask(origin: str) -> str | None:
        async with loopback_client() as client:
            refused = await Caller(client, gateway=origin, key="any").ask(story_call(Tokens(prompt=1, completion=1)))
            return None if refused.error is None else refused.error.message

    assert with_answers(lambda _: UNAVAILABLE, ask) == "later"


def test_a_key_becomes_known_when_the_gateway_no_longer_refuses_it() -> None:
    answers = iter([UNAUTHORIZED, UNAUTHORIZED, UNAVAILABLE])

    async def ask(origin: str) -> bool:
        async with loopback_client() as client:
            return await Caller(client, gateway=origin, key="any").known(within_s=10)

    assert with_answers(lambda _: next(answers), ask) is True
    assert with_answers(lambda _: UNAUTHORIZED, _known_at_once) is False


async def _known_at_once(origin: str) -> bool:
    async with loopback_client() as client:
        return await Caller(client, gateway=origin, key="any").known(within_s=0)


def test_no_gateway_is_told_as_such() -> None:
    async def run() -> None:
        async with loopback_client() as client:
            caller = Caller(client, gateway="http://127.0.0.1:1", key="any")
            with pytest.raises(Unavailable, match="the gateway did not answer"):
                await caller.ask(story_call(Tokens(prompt=1, completion=1)))
            with pytest.raises(Unavailable, match="the gateway did not answer"):
                await caller.known(within_s=1)

    asyncio.run(run())


def test_a_refusal_of_the_management_api_says_what_was_asked_and_why_not() -> None:
    async def ask(origin: str) -> None:
        async with loopback_client() as client:
            management = Management(client, origin=origin, token="t")
            with pytest.raises(Refused, match=r"POST /api/v1/plans: 503 later"):
                await management.post("/plans", {}, PlanView)

    with_answers(lambda _: UNAVAILABLE, ask)


def test_what_does_not_exist_yet_is_asked_for_again_until_the_time_is_over() -> None:
    answers = iter([NOT_FOUND, PLAN])

    async def ask(origin: str) -> PlanView:
        async with loopback_client() as client:
            management = Management(client, origin=origin, token="t")
            return await management.until("/plans/pln_1", PlanView, reached=lambda _: True, within_s=10)

    assert with_answers(lambda _: next(answers), ask).name == "The plan"
    with pytest.raises(Refused, match="404 none"):
        with_answers(lambda _: NOT_FOUND, _until_at_once)


async def _until_at_once(origin: str) -> PlanView:
    async with loopback_client() as client:
        management = Management(client, origin=origin, token="t")
        return await management.until("/plans/pln_1", PlanView, reached=lambda _: True, within_s=0)


def test_no_control_plane_is_told_as_such() -> None:
    async def run() -> None:
        async with loopback_client() as client:
            with pytest.raises(Unavailable, match="GET /api/v1/plans/pln_1 was not answered"):
                await Management(client, origin="http://127.0.0.1:1", token="t").get("/plans/pln_1", PlanView)

    asyncio.run(run())


def test_an_answer_without_a_completion_is_not_taken_for_one() -> None:
    async def ask(origin: str) -> None:
        async with loopback_client() as client:
            await Caller(client, gateway=origin, key="any").ask(story_call(Tokens(prompt=1, completion=1)))

    with pytest.raises(Unavailable, match="not a chat completion"):
        with_answers(lambda _: OK_JSON, ask)
