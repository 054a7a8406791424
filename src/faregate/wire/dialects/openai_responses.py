"""OpenAI responses: what a request may use at most, and what it is changed to.

Source: OpenAI's API reference, "Create a model response". How answers are read is in `openai_responses_answer.py`.

The input's bound is the bytes of the request's body and a constant per input element, as in `openai_chat.py`. What the
request only names (an earlier response, a conversation, a stored prompt) and what runs at the upstream is not bounded.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from faregate.wire.dialects.openai_chat import TOKENS_PER_MESSAGE
from faregate.wire.dialects.request_fields import (
    ABSENT,
    bound_of,
    decode_list,
    decode_request,
    elements_of,
    is_given,
    length_of,
    replace_fields,
    require_limit,
    text_of,
    unbounded,
)
from faregate.wire.dialects.settings import NO_PARTS, PartBounds
from faregate.wire.dialects.tokens import CHARACTERS_PER_TOKEN

RESPONSES_PATH: Final = "/responses"
"""Where a response is asked for, below a route's upstream URL."""

LEAST_OUTPUT_TOKENS: Final = 16
"""The lowest `max_output_tokens` that OpenAI takes."""

_PATHS: Final = frozenset(("", "/", RESPONSES_PATH))
_TEXT_PARTS: Final = frozenset(("input_text", "output_text", "summary_text", "reasoning_text", "refusal", "text"))
_TEXT_ELEMENTS: Final = frozenset(
    (
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    )
)
_CALLERS_TOOLS: Final = frozenset(("function", "custom"))
_STORED: Final = {
    "previous_response_id": "an earlier response",
    "conversation": "a stored conversation",
    "prompt": "a stored prompt",
}


class _Typed(Struct):
    type: str | None = None


class _Part(_Typed):
    text: object = None
    refusal: object = None
    image_url: Raw = ABSENT
    input_audio: Raw = ABSENT
    file_data: Raw = ABSENT


class _Element(_Typed):
    """One element of `input`; without a type it is a message."""

    content: Raw = ABSENT
    output: Raw = ABSENT
    summary: Raw = ABSENT
    arguments: object = None
    input: object = None


class _Body(Struct):
    input: Raw = ABSENT
    model: str | None = None
    instructions: Raw = ABSENT
    stream: bool | None = None
    background: bool | None = None
    max_output_tokens: int | None = None
    tools: Raw = ABSENT
    previous_response_id: Raw = ABSENT
    conversation: Raw = ABSENT
    prompt: Raw = ABSENT
    context_management: Raw = ABSENT


class ResponsesSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the event keeps of a request: no prompt."""

    model: str | None = None
    stream: bool | None = None
    background: bool | None = None
    max_output_tokens: int | None = None


_DECODER: Final = msgspec.json.Decoder(_Body)
_ELEMENTS_DECODER: Final = msgspec.json.Decoder(list[_Element])
_PARTS_DECODER: Final = msgspec.json.Decoder(list[_Part])
_TOOLS_DECODER: Final = msgspec.json.Decoder(list[_Typed])


class ResponsesRequest:
    """A request that was read (`seam.MeteredRequest`)."""

    __slots__ = ("_body", "_elements", "_fields")

    choices: Final = 1
    least_output_per_choice: Final = LEAST_OUTPUT_TOKENS

    def __init__(self, body: bytes, fields: _Body) -> None:
        self._body = body
        self._fields = fields
        self._elements = elements_of(_ELEMENTS_DECODER, fields.input)

    @property
    def streams(self) -> bool:
        """Return whether the caller asked for server-sent events."""
        return self._fields.stream is True

    @property
    def model(self) -> str | None:
        """Return the model that is asked for."""
        return self._fields.model

    @property
    def most_output_per_choice(self) -> int | None:
        """Return the caller's own limit, reasoning included, or None."""
        return self._fields.max_output_tokens

    def require_bounded(self, parts: PartBounds = NO_PARTS) -> int:
        """Return what is stored, runs elsewhere, or is no text adds to the input's bound.

        Raises `InvalidInput` naming what has none.
        """
        fields, added = self._fields, 0
        for name, what in _STORED.items():
            if is_given(getattr(fields, name)):
                added += bound_of(parts.stored, name, what)
        if is_given(fields.context_management):
            raise unbounded("context_management", "a context that the upstream rewrites")
        if fields.background:
            raise unbounded("background", "an answer that is made later")
        for index, tool in enumerate(decode_list(_TOOLS_DECODER, fields.tools, "tools")):
            if tool.type not in _CALLERS_TOOLS:
                added += bound_of(parts.tool, f"tools[{index}]", f"a tool of type {tool.type!r}")
        for index, element in enumerate(decode_list(_ELEMENTS_DECODER, fields.input, "input")):
            added += _element_bound(element, parts, f"input[{index}]")
        return added

    def input_bound(self) -> int:
        """Return the body's bytes and a constant for each element and the instructions."""
        return len(self._body) + TOKENS_PER_MESSAGE * (len(self._elements) + 2)

    def input_estimate(self) -> int:
        """Return characters / 4 of input, instructions and tools, rounded up, at least 1."""
        fields = self._fields
        characters = len(text_of(fields.input)) + len(text_of(fields.instructions))
        characters += sum(map(_characters, self._elements))
        if is_given(fields.tools):
            characters += len(bytes(fields.tools))
        return min(self.input_bound(), max(1, -(-characters // CHARACTERS_PER_TOKEN)))

    def summary(self) -> ResponsesSummary:
        """Return what the event keeps of the request."""
        fields = self._fields
        return ResponsesSummary(
            model=fields.model,
            stream=fields.stream,
            background=fields.background,
            max_output_tokens=fields.max_output_tokens,
        )

    def rewrite(self, *, most_output_per_choice: int | None) -> bytes:
        """Return the body with its output limited; usage comes unasked."""
        if most_output_per_choice is None:
            return self._body
        own = self._fields.max_output_tokens
        most = most_output_per_choice if own is None else min(own, most_output_per_choice)
        return replace_fields(self._body, {"max_output_tokens": b"%d" % most})


def responses_path(rest: str) -> str | None:
    """Return the upstream path for what followed the route's name, or None where no response is asked for."""
    return RESPONSES_PATH if rest in _PATHS else None


def read_responses_request(body: bytes) -> ResponsesRequest:
    """Return the request; `InvalidInput` names the field that is malformed or out of range."""
    fields = decode_request(_DECODER, body)
    require_limit("max_output_tokens", fields.max_output_tokens)
    return ResponsesRequest(body, fields)


def _element_bound(element: _Element, parts: PartBounds, field: str) -> int:
    if element.type == "item_reference":
        return bound_of(parts.stored, field, "a stored element")
    if element.type is not None and element.type not in _TEXT_ELEMENTS:
        raise unbounded(field, f"an element of type {element.type!r}")
    added = 0
    for name, value in (("content", element.content), ("output", element.output), ("summary", element.summary)):
        for place, part in enumerate(decode_list(_PARTS_DECODER, value, f"{field}.{name}")):
            if part.type not in _TEXT_PARTS:
                added += _part_bound(part, parts, f"{field}.{name}[{place}]")
    return added


def _part_bound(part: _Part, parts: PartBounds, field: str) -> int:
    what = f"a part of type {part.type!r}"
    match part.type:
        case "input_image":
            return bound_of(parts.image, field, what, raw=part.image_url)
        case "input_audio":
            return bound_of(parts.audio, field, what, raw=part.input_audio)
        case "input_file":
            return bound_of(parts.file, field, what, raw=part.file_data)
        case _:
            raise unbounded(field, what)


def _characters(element: _Element) -> int:
    count = length_of(element.arguments) + length_of(element.input)
    for value in (element.content, element.output, element.summary):
        count += len(text_of(value))
        count += sum(length_of(part.text) + length_of(part.refusal) for part in elements_of(_PARTS_DECODER, value))
    return count
