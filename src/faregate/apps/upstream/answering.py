"""From a chat request to its whole answer: a pure function, but for the id and the instant that are given to it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from faregate.apps.upstream.composing import compose
from faregate.apps.upstream.directions import Directions
from faregate.apps.upstream.shapes import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    Choice,
    ChunkChoice,
    Delta,
    FinishReason,
    Message,
    ReportedUsage,
    Usage,
)
from faregate.apps.upstream.tokenizer import count_tokens

TOKENS_PER_MESSAGE: Final = 4
"""What a message costs beside its text and name: its role and its borders."""

REPLAY_TOKENS_PER_CHUNK: Final = 16
"""A replayed answer may be thousands of tokens long; one token a chunk would only measure chunks."""

STREAM_END: Final = b"data: [DONE]\n\n"

_ENCODE: Final = msgspec.json.Encoder().encode
_SEED_BYTES: Final = 8


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """One of an answer's `n` texts, as tokens."""

    tokens: list[str]
    finish_reason: FinishReason


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All that an answer says; `usage` is None where the request's directions leave it out."""

    completion_id: str
    created_at_s: int
    model: str
    prompt_tokens: int
    completion_tokens: int
    completions: list[Completion]
    tokens_per_chunk: int
    usage: ReportedUsage | None
    usage_in_stream: bool


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One `data:` event of a stream and how many of the answer's tokens it carries."""

    text: bytes
    tokens: int


def answer(request: ChatRequest, directions: Directions, *, call_number: int, created_at_s: int) -> Answer:
    """Return the answer to `request`.

    The texts depend on the request's messages alone (and their length on its bounds). `call_number` makes the
    completion's id one of its own; `created_at_s` is in seconds since the epoch.
    """
    seed = int.from_bytes(blake2b(_ENCODE(request.messages), digest_size=_SEED_BYTES).digest(), "big")
    completions = [
        complete(seed + index, wanted=directions.completion_tokens, bound=_bound(request))
        for index in range(request.n or 1)
    ]
    prompt_tokens = directions.prompt_tokens
    if prompt_tokens is None:
        prompt_tokens = count_prompt_tokens(request.messages)
    completion_tokens = sum(len(completion.tokens) for completion in completions)
    return Answer(
        completion_id=f"chatcmpl-{seed:016x}{call_number:08x}",
        created_at_s=created_at_s,
        model=request.model,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        completions=completions,
        tokens_per_chunk=1 if directions.completion_tokens is None else REPLAY_TOKENS_PER_CHUNK,
        usage=None if directions.omit_usage else directions.usage or _count_usage(prompt_tokens, completion_tokens),
        usage_in_stream=request.stream_options is not None and bool(request.stream_options.include_usage),
    )


def count_prompt_tokens(messages: list[Message]) -> int:
    """Return the tokens of the messages' texts and names, and `TOKENS_PER_MESSAGE` for each message."""
    return sum(TOKENS_PER_MESSAGE + _message_tokens(message) for message in messages)


def json_body(whole: Answer) -> bytes:
    """Return the body of the JSON answer."""
    return _ENCODE(
        ChatCompletion(
            id=whole.completion_id,
            created=whole.created_at_s,
            model=whole.model,
            choices=[
                Choice(
                    index=index,
                    message=AnswerMessage(content="".join(completion.tokens)),
                    finish_reason=completion.finish_reason,
                )
                for index, completion in enumerate(whole.completions)
            ],
            usage=UNSET if whole.usage is None else whole.usage,
        )
    )


def stream_events(whole: Answer) -> Iterator[StreamEvent]:
    """Yield the events of the streamed answer in order, all but the closing `STREAM_END`.

    Each choice: its role, its content in chunks of `tokens_per_chunk` tokens, its finish reason; the chunks of several
    choices alternate. Then the usage, where the request asked for it.
    """
    chunks = _Chunks(whole)
    numbered = list(enumerate(whole.completions))
    for index, _ in numbered:
        yield chunks.of_choice(index, Delta(role="assistant", content=""))
    longest = max(len(completion.tokens) for completion in whole.completions)
    for start in range(0, longest, whole.tokens_per_chunk):
        for index, completion in numbered:
            tokens = completion.tokens[start : start + whole.tokens_per_chunk]
            if tokens:
                yield chunks.of_choice(index, Delta(content="".join(tokens)), tokens=len(tokens))
    for index, completion in numbered:
        yield chunks.of_choice(index, Delta(), finish_reason=completion.finish_reason)
    if whole.usage_in_stream and whole.usage is not None:
        yield chunks.of_usage(whole.usage)


class _Chunks:
    """Writes an answer's chunks: what they have in common is said once."""

    def __init__(self, whole: Answer) -> None:
        self._whole = whole
        self._no_usage_yet: UnsetType | None = UNSET
        if whole.usage_in_stream and whole.usage is not None:
            self._no_usage_yet = None

    def of_choice(
        self, index: int, delta: Delta, *, tokens: int = 0, finish_reason: FinishReason | None = None
    ) -> StreamEvent:
        choice = ChunkChoice(index=index, delta=delta, finish_reason=finish_reason)
        return self._event([choice], self._no_usage_yet, tokens=tokens)

    def of_usage(self, usage: ReportedUsage) -> StreamEvent:
        return self._event([], usage, tokens=0)

    def _event(
        self, choices: list[ChunkChoice], usage: ReportedUsage | UnsetType | None, *, tokens: int
    ) -> StreamEvent:
        chunk = ChatCompletionChunk(
            id=self._whole.completion_id,
            created=self._whole.created_at_s,
            model=self._whole.model,
            choices=choices,
            usage=usage,
        )
        return StreamEvent(text=b"data: %b\n\n" % _ENCODE(chunk), tokens=tokens)


def complete(seed: int, *, wanted: int | None, bound: int | None) -> Completion:
    """Return the text of a seed: `wanted` tokens long, or of its own length, and cut at `bound`."""
    tokens = compose(seed, wanted)
    if bound is None or len(tokens) <= bound:
        return Completion(tokens=tokens, finish_reason="stop")
    return Completion(tokens=tokens[:bound], finish_reason="length")


def _bound(request: ChatRequest) -> int | None:
    bounds = [bound for bound in (request.max_tokens, request.max_completion_tokens) if bound is not None]
    return min(bounds, default=None)


def _message_tokens(message: Message) -> int:
    tokens = 0 if message.name is None else count_tokens(message.name)
    match message.content:
        case str(text):
            return tokens + count_tokens(text)
        case None:
            return tokens
        case parts:
            return tokens + sum(count_tokens(part.text) for part in parts)


def _count_usage(prompt_tokens: int, completion_tokens: int) -> Usage:
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
    )
