"""Anthropic messages: what a request may use at most, and what it is changed to.

Source: Anthropic's API reference, "Create a Message". How answers are read is in `anthropic_messages_answer.py`.

The input's bound is the bytes of the request's body, a constant per message, and one for the instructions that tools
bring with them, which the request does not show. A tokenizer of bytes never makes more tokens than UTF-8 bytes.
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

MESSAGES_PATH: Final = "/v1/messages"
"""Where a message is asked for, below a route's upstream URL: that of the official client, which has no version."""

TOKENS_FOR_TOOLS: Final = 1_024
"""More than the instructions that come with a request's tools; Anthropic's table of them ends below 600."""

LEAST_THINKING_TOKENS: Final = 1_024
"""The lowest `budget_tokens` that Anthropic takes; `max_tokens` must be above it."""

_PATHS: Final = frozenset(("", "/", "/messages", MESSAGES_PATH))
_TEXT_BLOCKS: Final = frozenset(("text", "thinking", "redacted_thinking", "tool_use"))
_NESTED_BLOCKS: Final = frozenset(("tool_result", "search_result"))
_TEXT_SOURCES: Final = frozenset(("text", "content"))
_ELSEWHERE: Final = {
    "mcp_servers": "a server of tools",
    "container": "a container at the upstream",
    "context_management": "a context that the upstream rewrites",
}


class _Source(Struct):
    type: str | None = None
    data: object = None
    content: Raw = ABSENT


class _Block(Struct):
    type: str | None = None
    text: object = None
    thinking: object = None
    content: Raw = ABSENT
    source: Raw = ABSENT
    input: Raw = ABSENT


class _Message(Struct):
    content: str | list[_Block] = ""


class _Tool(Struct):
    type: str | None = None


class _Thinking(Struct):
    type: str | None = None
    budget_tokens: int | None = None


class _Body(Struct):
    messages: list[_Message]
    model: str | None = None
    system: Raw = ABSENT
    stream: bool | None = None
    max_tokens: int | None = None
    thinking: _Thinking | None = None
    tools: Raw = ABSENT
    mcp_servers: Raw = ABSENT
    container: Raw = ABSENT
    context_management: Raw = ABSENT


class MessagesSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the event keeps of a request: no prompt."""

    model: str | None = None
    stream: bool | None = None
    max_tokens: int | None = None


_DECODER: Final = msgspec.json.Decoder(_Body)
_BLOCKS_DECODER: Final = msgspec.json.Decoder(list[_Block])
_TOOLS_DECODER: Final = msgspec.json.Decoder(list[_Tool])
_SOURCE_DECODER: Final = msgspec.json.Decoder(_Source)
_MEMBERS_DECODER: Final = msgspec.json.Decoder(dict[str, Raw])


class MessagesRequest:
    """A request that was read (`seam.MeteredRequest`)."""

    __slots__ = ("_body", "_fields")

    choices: Final = 1

    def __init__(self, body: bytes, fields: _Body) -> None:
        self._body = body
        self._fields = fields

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
        """Return the caller's own limit, thinking included, or None."""
        return self._fields.max_tokens

    @property
    def least_output_per_choice(self) -> int:
        """Return 1, or with a thinking budget the lowest limit that leaves room for one."""
        return 1 if self._budget is None else LEAST_THINKING_TOKENS + 1

    def require_bounded(self, parts: PartBounds = NO_PARTS) -> int:
        """Return what is no text, or runs at the upstream, adds to the input's bound.

        Raises `InvalidInput` naming what has none.
        """
        fields, added = self._fields, 0
        for name, what in _ELSEWHERE.items():
            if is_given(getattr(fields, name)):
                raise unbounded(name, what)
        for index, tool in enumerate(decode_list(_TOOLS_DECODER, fields.tools, "tools")):
            if tool.type not in {None, "custom"}:
                added += bound_of(parts.tool, f"tools[{index}]", f"a tool of type {tool.type!r}")
        added += _blocks_bound(decode_list(_BLOCKS_DECODER, fields.system, "system"), parts, "system")
        for index, message in enumerate(fields.messages):
            if not isinstance(message.content, str):
                added += _blocks_bound(message.content, parts, f"messages[{index}].content")
        return added

    def input_bound(self) -> int:
        """Return the body's bytes, a constant for each message and the system's, and one for tools."""
        tools = TOKENS_FOR_TOOLS if is_given(self._fields.tools) else 0
        return len(self._body) + TOKENS_PER_MESSAGE * (len(self._fields.messages) + 2) + tools

    def input_estimate(self) -> int:
        """Return characters / 4 of system, messages and tools, rounded up, at least 1."""
        fields = self._fields
        characters = len(text_of(fields.system)) + _characters(elements_of(_BLOCKS_DECODER, fields.system))
        if is_given(fields.tools):
            characters += len(bytes(fields.tools))
        for message in fields.messages:
            content = message.content
            characters += len(content) if isinstance(content, str) else _characters(content)
        return min(self.input_bound(), max(1, -(-characters // CHARACTERS_PER_TOKEN)))

    def summary(self) -> MessagesSummary:
        """Return what the event keeps of the request."""
        fields = self._fields
        return MessagesSummary(model=fields.model, stream=fields.stream, max_tokens=fields.max_tokens)

    def rewrite(self, *, most_output_per_choice: int | None) -> bytes:
        """Return the body with its output limited, and its thinking below that; usage comes unasked."""
        if most_output_per_choice is None:
            return self._body
        own, budget = self._fields.max_tokens, self._budget
        most = most_output_per_choice if own is None else min(own, most_output_per_choice)
        changes = {"max_tokens": b"%d" % most}
        # A budget that the caller's own limit did not allow is left for the upstream to judge.
        if budget is not None and most <= budget and most != own:
            lowered = max(LEAST_THINKING_TOKENS, most - 1)
            thinking = _MEMBERS_DECODER.decode(_MEMBERS_DECODER.decode(self._body)["thinking"])
            changes["thinking"] = msgspec.json.encode(thinking | {"budget_tokens": lowered})
        return replace_fields(self._body, changes)

    @property
    def _budget(self) -> int | None:
        thinking = self._fields.thinking
        return None if thinking is None else thinking.budget_tokens


def messages_path(rest: str) -> str | None:
    """Return the upstream path for what followed the route's name, or None where no message is asked for."""
    return MESSAGES_PATH if rest in _PATHS else None


def read_messages_request(body: bytes) -> MessagesRequest:
    """Return the request; `InvalidInput` names the field that is malformed or out of range."""
    fields = decode_request(_DECODER, body)
    require_limit("max_tokens", fields.max_tokens)
    return MessagesRequest(body, fields)


def _blocks_bound(blocks: list[_Block], parts: PartBounds, field: str) -> int:
    added = 0
    for place, block in enumerate(blocks):
        here = f"{field}[{place}]"
        if block.type in _NESTED_BLOCKS:
            within = decode_list(_BLOCKS_DECODER, block.content, f"{here}.content")
            added += _blocks_bound(within, parts, f"{here}.content")
        elif block.type == "document":
            added += _document_bound(block, parts, f"{here}.source")
        elif block.type == "image":
            added += bound_of(parts.image, here, "a block of type 'image'", raw=block.source)
        elif block.type not in _TEXT_BLOCKS:
            raise unbounded(here, f"a block of type {block.type!r}")
    return added


def _document_bound(block: _Block, parts: PartBounds, field: str) -> int:
    source = _source_of(block)
    if source is None or source.type not in _TEXT_SOURCES:
        return bound_of(parts.file, field, "a document that is not text", raw=block.source)
    return _blocks_bound(decode_list(_BLOCKS_DECODER, source.content, f"{field}.content"), parts, f"{field}.content")


def _source_of(block: _Block) -> _Source | None:
    try:
        return _SOURCE_DECODER.decode(block.source)
    except msgspec.DecodeError:
        return None


def _characters(blocks: list[_Block]) -> int:
    count = 0
    for block in blocks:
        count += length_of(block.text) + length_of(block.thinking) + len(text_of(block.content))
        count += _characters(elements_of(_BLOCKS_DECODER, block.content))
        if is_given(block.input):
            count += len(bytes(block.input))
        source = _source_of(block) if block.type == "document" else None
        if source is not None and source.type in _TEXT_SOURCES:
            count += length_of(source.data) + len(text_of(source.content))
            count += _characters(elements_of(_BLOCKS_DECODER, source.content))
    return count
