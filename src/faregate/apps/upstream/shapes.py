"""OpenAI's chat completion shapes, as far as the demo upstream reads and writes them.

Source: OpenAI's API reference, "Chat completions" and "Streaming events". Fields of a request that are not listed here
are accepted and ignored, as a model would ignore what it cannot do.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from faregate.base.errors import InvalidInput

MAX_CHOICES: Final = 128
"""OpenAI's own bound for `n`."""


class ContentPart(msgspec.Struct, frozen=True):
    """One part of a message's content; only parts with text are counted."""

    type: str
    text: str = ""


class Message(msgspec.Struct, frozen=True):
    """One message of the conversation."""

    role: str
    content: str | list[ContentPart] | None = None
    name: str | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """How a stream ends: with a usage chunk or without."""

    include_usage: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=MAX_CHOICES)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None


class PromptTokensDetails(msgspec.Struct, frozen=True):
    """A part of `prompt_tokens`."""

    cached_tokens: int = 0


class CompletionTokensDetails(msgspec.Struct, frozen=True):
    """A part of `completion_tokens`."""

    reasoning_tokens: int = 0


class Usage(msgspec.Struct, frozen=True):
    """What a call is billed by, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails = PromptTokensDetails()
    completion_tokens_details: CompletionTokensDetails = CompletionTokensDetails()


FinishReason = Literal["stop", "length"]
ReportedUsage = Usage | msgspec.Raw
"""Counted here, or the JSON object a caller gave to be reported word for word."""


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The assistant's message in a JSON answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the `n` answers of a JSON answer."""

    index: int
    message: AnswerMessage
    logprobs: None = None
    finish_reason: FinishReason


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON answer; `created` is in whole seconds since the epoch. Without usage the field is absent."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: ReportedUsage | UnsetType = UNSET


class Delta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a chunk adds to its choice's message: the role first, then content, nothing in the last."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType = UNSET


class ChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The one choice that a chunk goes on with."""

    index: int
    delta: Delta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a stream.

    `usage` is absent unless the request asked for it; then it is null in every chunk but the last, which has it and no
    choices.
    """

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ReportedUsage | UnsetType | None = UNSET


class ErrorDetail(msgspec.Struct, frozen=True):
    """What went wrong, and in which field or header of the request."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is not a 200."""

    error: ErrorDetail


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model of `GET /v1/models`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[Model]


_Request = TypeVar("_Request")
_REQUEST_DECODER: Final = msgspec.json.Decoder(ChatRequest)
_MISSING_FIELD: Final = re.compile(r"missing required field `(\w+)`(?: - at `\$\.?([^`]*)`)?")
_FAULTY_FIELD: Final = re.compile(r" - at `\$\.([^`]*)`")


def read_chat_request(body: bytes) -> ChatRequest:
    """Return the chat request that `body` holds.

    Raises:
        InvalidInput: The body is not JSON (field `body`), or a field is missing or wrong; names the field.
    """
    request = decode_body(_REQUEST_DECODER, body)
    if request.stream_options is not None and not request.stream:
        raise InvalidInput.of("stream_options", "is only allowed when stream is true")
    return request


def decode_body(decoder: msgspec.json.Decoder[_Request], body: bytes) -> _Request:
    """Return the request that `body` holds; raises `InvalidInput` as `read_chat_request` does."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidInput.of(_field_of(str(error)), str(error)) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidInput.of("body", f"must be a JSON object: {error}") from error


def _field_of(message: str) -> str:
    missing = _MISSING_FIELD.search(message)
    if missing is not None:
        name, parent = missing.groups()
        return f"{parent}.{name}" if parent else name
    faulty = _FAULTY_FIELD.search(message)
    return faulty.group(1) if faulty is not None else "body"
