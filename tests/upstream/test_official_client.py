import asyncio

import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, OpenAI, RateLimitError
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionMessageParam

from faregate.apps.upstream.serving import running_upstream
from faregate.apps.upstream.tokenizer import count_tokens
from tests.upstream.conftest import Upstream

MODEL = "faregate-demo"
MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Where is the cat?"},
]


def streamed(client: OpenAI, headers: dict[str, str] | None = None) -> tuple[str, CompletionUsage | None]:
    text, usage = "", None
    with client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}, extra_headers=headers
    ) as chunks:
        for chunk in chunks:
            text += "".join(choice.delta.content or "" for choice in chunk.choices)
            usage = chunk.usage or usage
    return text, usage


def test_an_answer_reports_the_tokens_of_its_own_text(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    text = completion.choices[0].message.content
    assert text
    assert completion.id.startswith("chatcmpl-")
    assert (completion.object, completion.model) == ("chat.completion", MODEL)
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == count_tokens(text)
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion.usage.prompt_tokens_details is not None
    assert completion.usage.prompt_tokens_details.cached_tokens == 0
    assert completion.usage.completion_tokens_details is not None
    assert completion.usage.completion_tokens_details.reasoning_tokens == 0


@pytest.mark.parametrize(
    "headers", [{}, {"x-demo-prompt-tokens": "374", "x-demo-completion-tokens": "44"}], ids=["counted", "replayed"]
)
def test_a_stream_says_and_costs_the_same_as_the_json_answer(client: OpenAI, headers: dict[str, str]) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=headers)
    text, usage = streamed(client, headers)
    assert text == completion.choices[0].message.content
    assert usage == completion.usage


def test_a_stream_that_did_not_ask_for_usage_has_none(client: OpenAI) -> None:
    with client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as chunks:
        assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_max_tokens_ends_the_answer_with_length(client: OpenAI) -> None:
    for bound in (
        client.chat.completions.create(model=MODEL, messages=MESSAGES, max_tokens=5),
        client.chat.completions.create(model=MODEL, messages=MESSAGES, max_completion_tokens=5),
        client.chat.completions.create(model=MODEL, messages=MESSAGES, max_completion_tokens=5, max_tokens=9),
    ):
        assert bound.choices[0].finish_reason == "length"
        assert bound.usage is not None
        assert bound.usage.completion_tokens == 5


def test_n_choices_are_different_and_all_counted(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=MESSAGES, n=3, max_tokens=12)
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in completion.choices}) == 3
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 36


def test_a_replayed_call_reports_the_counts_it_was_given(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        extra_headers={"x-demo-prompt-tokens": "374", "x-demo-completion-tokens": "44"},
    )
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (374, 44)
    assert count_tokens(completion.choices[0].message.content or "") == 44
    assert completion.choices[0].finish_reason == "stop"


def test_a_replayed_call_keeps_within_max_tokens(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, max_tokens=10, extra_headers={"x-demo-completion-tokens": "44"}
    )
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 10
    assert completion.choices[0].finish_reason == "length"


def test_the_client_finds_the_model(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]


def test_errors_arrive_as_the_clients_own_classes(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=[])
    assert refused.value.param == "messages"
    with pytest.raises(RateLimitError):
        client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers={"x-demo-fail-status": "429"})
    with pytest.raises(APIStatusError) as failed:
        client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers={"x-demo-fail-status": "503"})
    assert failed.value.status_code == 503


def test_the_async_client_works_against_an_upstream_in_its_own_loop() -> None:
    async def talk() -> None:
        async with (
            running_upstream() as upstream,
            AsyncOpenAI(base_url=f"{upstream.origin}/v1", api_key="any", max_retries=0) as client,
        ):
            completion = await client.chat.completions.create(model=MODEL, messages=MESSAGES)
            text = ""
            async with await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as chunks:
                async for chunk in chunks:
                    text += chunk.choices[0].delta.content or ""
            assert text == completion.choices[0].message.content

    asyncio.run(talk())


def test_fifty_async_calls_at_once_are_all_answered_alike(upstream: Upstream) -> None:
    async def talk() -> set[str | None]:
        async with AsyncOpenAI(base_url=f"{upstream.origin}/v1", api_key="any", max_retries=0) as client:
            calls = [client.chat.completions.create(model=MODEL, messages=MESSAGES) for _ in range(50)]
            return {completion.choices[0].message.content for completion in await asyncio.gather(*calls)}

    assert len(asyncio.run(talk())) == 1
