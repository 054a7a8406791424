import json

from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.upstream.answering import (
    REPLAY_TOKENS_PER_CHUNK,
    TOKENS_PER_MESSAGE,
    answer,
    count_prompt_tokens,
    json_body,
    stream_events,
)
from faregate.apps.upstream.directions import Directions
from faregate.apps.upstream.shapes import ChatRequest, ContentPart, Message, StreamOptions
from faregate.apps.upstream.tokenizer import count_tokens

bounds = st.none() | st.integers(min_value=1, max_value=100)
requests = st.builds(
    ChatRequest,
    model=st.just("faregate-demo"),
    messages=st.lists(st.builds(Message, role=st.just("user"), content=st.text()), min_size=1, max_size=4),
    n=st.none() | st.integers(min_value=1, max_value=5),
    stream_options=st.none() | st.builds(StreamOptions, include_usage=st.none() | st.booleans()),
    max_tokens=bounds,
    max_completion_tokens=bounds,
)
directions = st.builds(
    Directions,
    completion_tokens=st.none() | st.integers(min_value=0, max_value=150),
    prompt_tokens=st.none() | st.integers(min_value=0, max_value=1_000),
    omit_usage=st.booleans(),
)


def body_of(request: ChatRequest, directed: Directions, *, call_number: int = 1) -> dict[str, object]:
    body: dict[str, object] = json.loads(
        json_body(answer(request, directed, call_number=call_number, created_at_s=1_700_000_000))
    )
    return body


def texts_of(body: dict[str, object]) -> list[str]:
    choices = body["choices"]
    assert isinstance(choices, list)
    return [choice["message"]["content"] for choice in choices]


@given(requests, directions)
def test_the_chunks_joined_are_the_json_answers_texts(request: ChatRequest, directed: Directions) -> None:
    whole = answer(request, directed, call_number=1, created_at_s=1)
    streamed = [""] * len(whole.completions)
    finished: dict[int, str] = {}
    for event in stream_events(whole):
        for choice in json.loads(event.text.removeprefix(b"data: "))["choices"]:
            streamed[choice["index"]] += choice["delta"].get("content", "")
            assert count_tokens(choice["delta"].get("content", "")) == event.tokens <= whole.tokens_per_chunk
            if choice["finish_reason"] is not None:
                finished[choice["index"]] = choice["finish_reason"]
    assert streamed == texts_of(body_of(request, directed))
    assert finished == {index: completion.finish_reason for index, completion in enumerate(whole.completions)}


@given(requests, directions)
def test_usage_stands_in_the_last_chunk_alone_and_only_where_asked_for(
    request: ChatRequest, directed: Directions
) -> None:
    whole = answer(request, directed, call_number=1, created_at_s=1)
    chunks = [json.loads(event.text.removeprefix(b"data: ")) for event in stream_events(whole)]
    asked = request.stream_options is not None and request.stream_options.include_usage
    if asked and not directed.omit_usage:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"] == body_of(request, directed)["usage"]
        assert all(chunk["usage"] is None and chunk["choices"] for chunk in chunks[:-1])
    else:
        assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)


@given(requests, directions)
def test_the_completion_tokens_are_those_of_the_texts(request: ChatRequest, directed: Directions) -> None:
    whole = answer(request, directed, call_number=1, created_at_s=1)
    texts = texts_of(body_of(request, directed))
    assert len(texts) == (request.n or 1)
    assert whole.completion_tokens == sum(count_tokens(text) for text in texts)


@given(requests, directions)
def test_no_choice_is_longer_than_the_smaller_bound(request: ChatRequest, directed: Directions) -> None:
    bound = min(filter(None, (request.max_tokens, request.max_completion_tokens)), default=10**9)
    for completion in answer(request, directed, call_number=1, created_at_s=1).completions:
        assert len(completion.tokens) <= bound
        if completion.finish_reason == "length":
            assert len(completion.tokens) == bound
        elif directed.completion_tokens is not None:
            assert len(completion.tokens) == directed.completion_tokens


@given(requests, directions)
def test_the_same_messages_get_the_same_texts_under_another_id(request: ChatRequest, directed: Directions) -> None:
    first = body_of(request, directed, call_number=1)
    second = body_of(request, directed, call_number=2)
    assert first.pop("id") != second.pop("id")
    assert first == second


@given(requests)
def test_prompt_tokens_are_bounded_by_the_text_bytes_and_a_constant_a_message(request: ChatRequest) -> None:
    text_bytes = sum(len(message.content.encode()) for message in request.messages if isinstance(message.content, str))
    most = text_bytes + TOKENS_PER_MESSAGE * len(request.messages)
    assert TOKENS_PER_MESSAGE * len(request.messages) <= count_prompt_tokens(request.messages) <= most


def test_text_parts_and_names_count_and_other_parts_do_not() -> None:
    parts = [ContentPart(type="text", text="the cat"), ContentPart(type="image_url")]
    messages = [Message(role="user", content=parts, name="ann"), Message(role="assistant")]
    assert count_prompt_tokens(messages) == 2 * TOKENS_PER_MESSAGE + 3


def test_a_replayed_stream_carries_sixteen_tokens_a_chunk() -> None:
    request = ChatRequest(model="m", messages=[Message(role="user", content="a")])
    whole = answer(request, Directions(completion_tokens=1_000), call_number=1, created_at_s=1)
    counts = [event.tokens for event in stream_events(whole) if event.tokens]
    assert counts == [REPLAY_TOKENS_PER_CHUNK] * 62 + [8]
