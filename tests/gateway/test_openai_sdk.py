"""The official OpenAI client works through the gateway with nothing changed but its base URL."""

from __future__ import annotations

from pathlib import Path

import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from faregate.apps.upstream.serving import running_upstream
from tests.gateway.control_plane import ControlPlane, package
from tests.gateway.running import gateway, run
from tests.gateway.scripted import scripted
from tests.gateway.scripted import stream as stream_of
from tests.gateway.spoken import MESSAGES, RESPONSES, is_estimated

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello to everyone."}]


def client_for(origin: str, path: str = "/ai/chat", key: str = "key-1") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=origin + path, api_key=key, max_retries=0)


@pytest.mark.parametrize("path", ["/ai/chat", "/ai"])
def test_json_and_streams_work_and_are_metered_alike(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        async with running_upstream() as upstream:
            plane = ControlPlane()
            plane.seed(f"{upstream.origin}/v1")
            async with gateway(tmp_path, plane) as gate:
                async with client_for(gate.origin, path) as client:
                    whole = await client.chat.completions.create(model="m", messages=QUESTION, max_tokens=20)
                    stream = await client.chat.completions.create(
                        model="m",
                        messages=QUESTION,
                        max_tokens=20,
                        stream=True,
                    )
                    text = "".join([part.choices[0].delta.content or "" async for part in stream])
                events = await plane.events_arrived(2)
            assert whole.usage is not None
            assert text == whole.choices[0].message.content
            account = plane.accounts["sub_1"]
            assert account.settled == {
                "prc_input": 2 * whole.usage.prompt_tokens,
                "prc_output": 2 * whole.usage.completion_tokens,
            }
            assert account.outstanding() == 0
        assert not any(event.faregate is not None and event.faregate.estimated for event in events)

    run(scenario())


@pytest.mark.parametrize("path", ["/ai/chat", "/ai/chat/"])
def test_responses_work_whole_and_streamed_and_are_metered_alike(tmp_path: Path, path: str) -> None:
    async def scenario() -> None:
        async with running_upstream() as upstream:
            plane = ControlPlane()
            RESPONSES.seed(plane, upstream.origin)
            async with gateway(tmp_path, plane) as gate:
                async with client_for(gate.origin, path) as client:
                    whole = await client.responses.create(model="m", input="Say hello.", max_output_tokens=20)
                    stream = await client.responses.create(
                        model="m", input="Say hello.", max_output_tokens=20, stream=True
                    )
                    events = [event async for event in stream]
                await plane.events_arrived(2)
            assert whole.usage is not None
            text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
            assert text == whole.output_text
            assert events[-1].type in {"response.completed", "response.incomplete"}
            assert plane.accounts["sub_1"].settled == {
                "prc_input": 2 * whole.usage.input_tokens,
                "prc_output": 2 * whole.usage.output_tokens,
            }

    run(scenario())


def test_a_response_that_breaks_off_raises_in_the_client(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with scripted(stream_of(*RESPONSES.stream.events[:6], end=False)) as upstream:
            plane = ControlPlane()
            RESPONSES.seed(plane, upstream.origin)
            async with gateway(tmp_path, plane) as gate, client_for(gate.origin) as client:
                stream = await client.responses.create(model="m", input="Say hello.", stream=True)
                with pytest.raises(openai.APIError, match="broke off"):
                    async for _ in stream:
                        pass

    run(scenario())


def test_anthropics_client_finds_its_own_shapes(tmp_path: Path) -> None:
    """What its official client sends and reads, by raw HTTP: `base_url` is the route, the key in `x-api-key`."""

    async def scenario() -> None:
        async with running_upstream() as upstream:
            plane = ControlPlane()
            MESSAGES.seed(plane, upstream.origin)
            headers = {"x-api-key": "key-1", "anthropic-version": "2023-06-01", "content-type": "application/json"}
            async with gateway(tmp_path, plane) as gate:
                whole = await gate.call(MESSAGES.ask, path="/ai/chat/v1/messages", headers=headers)
                ask = MESSAGES.ask | {"stream": True}
                streamed = await gate.call(ask, path="/ai/chat/v1/messages", headers=headers)
                refused = await gate.call(ask, path="/ai/chat/v1/messages", headers=headers | {"x-api-key": "none"})
                events = await plane.events_arrived(2)
        assert (whole.status, streamed.status, refused.status) == (200, 200, 401)
        assert refused.json["type"] == "error"
        usage = msgspec.convert(whole.json["usage"], dict[str, int])
        assert whole.json["type"] == "message"
        assert streamed.body.startswith(b"event: message_start\n")
        assert streamed.body.rstrip().endswith(b'{"type":"message_stop"}')
        assert {event.response.body["usage"]["output_tokens"] for event in events if event.response} == {
            usage["output_tokens"]
        }
        assert not any(is_estimated(event) for event in events)

    run(scenario())


def test_errors_arrive_as_the_clients_own_classes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_upstream() as upstream:
            plane = ControlPlane()
            prices = {"completion_tokens": package("output", size=1_000, amount="1")}
            plane.seed(f"{upstream.origin}/v1", prices=prices, granted=0)
            async with gateway(tmp_path, plane) as gate:
                async with client_for(gate.origin, key="wrong") as client:
                    with pytest.raises(openai.AuthenticationError) as unknown:
                        await client.chat.completions.create(model="m", messages=QUESTION)
                async with client_for(gate.origin) as client:
                    with pytest.raises(openai.APIStatusError) as refused:
                        await client.chat.completions.create(model="m", messages=QUESTION)
                async with client_for(gate.origin, "/nothing") as client:
                    with pytest.raises(openai.NotFoundError):
                        await client.chat.completions.create(model="m", messages=QUESTION)
        assert unknown.value.code == "invalid_api_key"
        assert (refused.value.status_code, refused.value.code) == (402, "credit_balance_exhausted")
        assert refused.value.request_id is not None

    run(scenario())


def test_an_upstream_that_reports_no_usage_is_estimated(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_upstream() as upstream:
            plane = ControlPlane()
            plane.seed(f"{upstream.origin}/v1")
            async with gateway(tmp_path, plane) as gate:
                async with client_for(gate.origin) as client:
                    stream = await client.chat.completions.create(
                        model="m",
                        messages=QUESTION,
                        max_tokens=9,
                        stream=True,
                        extra_headers={"x-demo-omit-usage": "true"},
                    )
                    async for _ in stream:
                        pass
                (event,) = await plane.events_arrived(1)
        assert event.faregate is not None
        assert event.faregate.estimated
        assert plane.accounts["sub_1"].settled["prc_output"] == 9

    run(scenario())
