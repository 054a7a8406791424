import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.apps.story.chat import Tokens, directions, story_call
from faregate.apps.upstream.directions import read_directions
from faregate.wire.dialects.openai_chat_dialect import read_chat_call


@given(prompt=st.integers(500, 5_000), completion=st.integers(1, 5_000), stream=st.booleans())
def test_what_a_strict_route_holds_for_a_story_call_is_what_the_call_uses(
    *, prompt: int, completion: int, stream: bool
) -> None:
    call = story_call(Tokens(prompt=prompt, completion=completion), stream=stream)
    request = read_chat_call(call.body)
    assert request.input_bound() == prompt
    assert request.most_output_per_choice == completion
    assert (request.stream is True) == stream


def test_the_answers_of_several_choices_add_up() -> None:
    call = story_call(Tokens(prompt=100_000, completion=500_000), choices=5)
    request = read_chat_call(call.body)
    assert (request.n, request.max_tokens) == (5, 100_000)
    assert call.headers["x-demo-completion-tokens"] == "100000"


def test_a_prompt_of_a_few_tokens_is_still_covered() -> None:
    call = story_call(Tokens(prompt=3, completion=2))
    assert read_chat_call(call.body).input_bound() >= 3


@pytest.mark.parametrize(
    ("tokens", "usage"),
    [
        (Tokens(prompt=0, completion=0), None),
        (Tokens(prompt=10_000_000, completion=100_000), None),
        (Tokens(prompt=10_000_001, completion=1), {"prompt_tokens": 10_000_001, "completion_tokens": 1}),
        (Tokens(prompt=5, completion=10**9), {"prompt_tokens": 5, "completion_tokens": 10**9}),
    ],
)
def test_the_demo_upstream_takes_the_directions_for_any_count(tokens: Tokens, usage: dict[str, int] | None) -> None:
    headers = directions(tokens)
    read = read_directions(headers.get)
    if usage is None:
        assert (read.prompt_tokens, read.completion_tokens) == (tokens.prompt, tokens.completion)
    else:
        assert read.usage is not None
        reported = msgspec.json.decode(read.usage)
        assert reported == usage | {"total_tokens": tokens.prompt + tokens.completion}
