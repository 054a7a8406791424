"""OpenAI chat completions: what a request may use at most, what it is changed to, and the estimate when nobody counts.

Source: OpenAI's API reference, "Create chat completion". How answers are read is in `openai_chat_answer.py`.

The input's bound is the bytes of the request's body and a constant per message: a byte-level tokenizer never makes more
tokens than UTF-8 bytes, and what templates add to a message is less than the JSON around it and the constant together.
"""

from __future__ import annotations

from typing import Final

from msgspec import Raw

from faregate.base.errors import InvalidInput
from faregate.wire.dialects.openai_chat_request import ChatPart, ChatRequest, RequestSummary
from faregate.wire.dialects.request_fields import (
    ENCODER,
    FIELDS_DECODER,
    NULL,
    bound_of,
    is_given,
    require_limit,
    unbounded,
)
from faregate.wire.dialects.settings import NO_PARTS, PartBounds
from faregate.wire.dialects.tokens import CHARACTERS_PER_TOKEN

COMPLETIONS_PATH: Final = "/chat/completions"
"""Where a completion is asked for, below a route's upstream URL."""

TOKENS_PER_MESSAGE: Final = 16
MAX_CHOICES: Final = 128
"""What OpenAI allows for `n`."""

_PATHS: Final = frozenset(("", "/", "/completions", COMPLETIONS_PATH))
_TEXT_PARTS: Final = frozenset(("text", "refusal"))


def completion_path(rest: str) -> str | None:
    """Return the upstream path for what followed the route's name, or None where no completion is asked for.

    A plain call of the route (`""`), the SDK with the route as its base URL (`/chat/completions`), and the SDK with the
    route's parent as its base URL, where the route ends in `/chat` (`/completions`), all mean the same.
    """
    return COMPLETIONS_PATH if rest in _PATHS else None


def require_limits(request: ChatRequest) -> None:
    """Raise `InvalidInput` naming a limit or a number of choices that no upstream takes."""
    if request.n is not None and not 1 <= request.n <= MAX_CHOICES:
        raise InvalidInput.of("n", f"must be from 1 to {MAX_CHOICES}")
    require_limit("max_tokens", request.max_tokens)
    require_limit("max_completion_tokens", request.max_completion_tokens)


def require_bounded(request: ChatRequest, parts: PartBounds = NO_PARTS) -> int:
    """Return what images, audio, files and search add to the input's bound, by the bounds that are given for them.

    Raises `InvalidInput` naming a part that has none.
    """
    added = 0
    for index, message in enumerate(request.messages):
        if is_given(message.audio):
            added += bound_of(parts.audio, f"messages[{index}].audio", "audio")
        if isinstance(message.content, list):
            for place, part in enumerate(message.content):
                if part.type not in _TEXT_PARTS:
                    added += _part_bound(part, parts, f"messages[{index}].content[{place}]")
    if is_given(request.audio) or (request.modalities is not None and request.modalities != ["text"]):
        raise unbounded("modalities", "an answer that is not text")
    if is_given(request.prediction):
        raise unbounded("prediction", "a predicted output")
    if is_given(request.web_search_options):
        added += bound_of(parts.tool, "web_search_options", "a web search")
    return added


def input_bound(request: ChatRequest, body: bytes) -> int:
    """Return the most input tokens the request can come to."""
    return len(body) + TOKENS_PER_MESSAGE * (len(request.messages) + 1)


def estimate_input(request: ChatRequest) -> int:
    """Return the input tokens to bill when the upstream reports none: characters / 4, rounded up, at least 1."""
    return max(1, -(-_characters(request) // CHARACTERS_PER_TOKEN))


def summarise(request: ChatRequest) -> RequestSummary:
    """Return what the event keeps of the request."""
    return RequestSummary(
        model=request.model,
        stream=request.stream,
        n=request.n,
        max_tokens=request.max_tokens,
        max_completion_tokens=request.max_completion_tokens,
    )


def rewrite(request: ChatRequest, body: bytes, *, most_output_per_choice: int | None) -> bytes:
    """Return the body to send upstream: output limited where a limit is given, and usage asked for where it streams.

    Fields that are not changed keep their bytes; a body that needs no change is returned as it is, unless a limit is
    given: then a name that came twice is sent once, with the value that was read here.
    """
    ask_usage = request.stream is True and not request.wants_usage
    if not ask_usage and most_output_per_choice is None:
        return body
    fields = FIELDS_DECODER.decode(body)
    if most_output_per_choice is not None:
        _limit_output(fields, request, most_output_per_choice)
    if ask_usage:
        options = fields.get("stream_options")
        asked = {} if options is None or bytes(options) == NULL else FIELDS_DECODER.decode(options)
        asked["include_usage"] = Raw(b"true")
        fields["stream_options"] = Raw(ENCODER.encode(asked))
    return ENCODER.encode(fields)


def _part_bound(part: ChatPart, parts: PartBounds, field: str) -> int:
    what = f"a part of type {part.type!r}"
    match part.type:
        case "image_url":
            return bound_of(parts.image, field, what, raw=part.image_url)
        case "input_audio":
            return bound_of(parts.audio, field, what, raw=part.input_audio)
        case "file":
            return bound_of(parts.file, field, what, raw=part.file)
        case _:
            raise unbounded(field, what)


def _limit_output(fields: dict[str, Raw], request: ChatRequest, most: int) -> None:
    if request.max_tokens is None and request.max_completion_tokens is None:
        fields["max_tokens"] = Raw(b"%d" % most)
    if request.max_tokens is not None and request.max_tokens > most:
        fields["max_tokens"] = Raw(b"%d" % most)
    if request.max_completion_tokens is not None and request.max_completion_tokens > most:
        fields["max_completion_tokens"] = Raw(b"%d" % most)


def _characters(request: ChatRequest) -> int:
    count = 0
    for message in request.messages:
        content = message.content
        if isinstance(content, str):
            count += len(content)
        elif content is not None:
            count += sum(len(part.text) + len(part.refusal) for part in content)
    return count
