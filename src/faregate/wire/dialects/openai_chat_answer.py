"""OpenAI chat completions: reading the usage of an answer as it passes.

Sources: OpenAI's API reference, "The chat completion object" and "The chat completion chunk object". With
`stream_options.include_usage` the last chunk before `[DONE]` has `choices: []` and the usage, every other one `usage:
null`.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from faregate.base.limits import MAX_USAGE_EVENT_BYTES
from faregate.wire.dialects.request_fields import UNREADABLE
from faregate.wire.dialects.tokens import CHARACTERS_PER_TOKEN, Usage
from faregate.wire.event import exact_number
from faregate.wire.sse import EventSplitter

_DONE: Final = b"[DONE]"


class _Function(Struct):
    arguments: str | None = None


class _ToolCall(Struct):
    function: _Function | None = None


class _Text(Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None


class _Choice(Struct):
    delta: _Text | None = None
    message: _Text | None = None


class _Head(Struct):
    id: str | None = None
    model: str | None = None
    usage: dict[str, object] | None = None


class _Chunk(_Head):
    choices: list[_Choice] | None = None


class _ErrorChunk(Struct):
    error: object = None


_HEAD_DECODER: Final = msgspec.json.Decoder(_Head, float_hook=exact_number)
_ERROR_DECODER: Final = msgspec.json.Decoder(_ErrorChunk)
_CHUNK_DECODER: Final = msgspec.json.Decoder(_Chunk, float_hook=exact_number)


class AnswerReader:
    """What was seen of one answer: its id, model, usage, and enough of its text's length to estimate by.

    `deltas` counts pieces of content, `characters` their length. `failed`: a chunk was an error.
    """

    __slots__ = ("answer_id", "characters", "deltas", "failed", "model", "usage")

    def __init__(self) -> None:
        self.answer_id: str | None = None
        self.model: str | None = None
        self.usage: Usage = {}
        self.failed = False
        self.deltas = 0
        self.characters = 0

    @property
    def output_estimate(self) -> int:
        """Return the output tokens to bill when nobody counted: deltas seen or characters / 4, the larger."""
        return max(self.deltas, -(-self.characters // CHARACTERS_PER_TOKEN))

    def read_json(self, body: bytes) -> None:
        """Read a whole answer that was not streamed; one that is not JSON leaves everything unknown."""
        try:
            head = _HEAD_DECODER.decode(body)
        except UNREADABLE:
            return
        self._keep(head)
        if not self.usage:
            self._read_choices(body)

    def _keep(self, head: _Head) -> None:
        if head.id is not None:
            self.answer_id = head.id
        if head.model is not None:
            self.model = head.model
        usage = head.usage
        if usage:
            if None in usage.values():
                usage = {name: value for name, value in usage.items() if value is not None}
            self.usage = self.usage | usage if self.usage else usage

    def read_chunk(self, data: bytes) -> _Chunk | None:
        """Read one chunk of a streamed answer; return None for what is not a chunk, such as `[DONE]`."""
        try:
            chunk = _CHUNK_DECODER.decode(data)
        except UNREADABLE:
            return None
        self._keep(chunk)
        if chunk.choices:
            self._count(chunk)
        elif chunk.choices is None:
            self.failed = self.failed or _is_error(data)
        return chunk

    def _read_choices(self, body: bytes) -> None:
        try:
            chunk = _CHUNK_DECODER.decode(body)
        except UNREADABLE:
            return
        self._count(chunk)

    def _count(self, chunk: _Chunk) -> None:
        for choice in chunk.choices or ():
            text = choice.delta if choice.delta is not None else choice.message
            if text is None:
                continue
            characters = _length(text)
            if characters:
                self.deltas += 1
                self.characters += characters


class StreamReader(AnswerReader):
    """An answer that is streamed: feed it the upstream's bytes and send on what it returns.

    `strip_usage`: remove the usage chunk, because the caller did not ask for it. `finished` turns true with `[DONE]`,
    which is not returned but kept in `last_bytes` with all that follows it, so that the call can be settled first.
    """

    __slots__ = ("_splitter", "_strip_usage", "finished", "last_bytes")

    def __init__(self, *, strip_usage: bool) -> None:
        super().__init__()
        self._splitter = EventSplitter(MAX_USAGE_EVENT_BYTES)
        self._strip_usage = strip_usage
        self.finished = False
        self.last_bytes = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take the upstream's next bytes and return what to send to the caller now; may be empty."""
        if self.finished:
            self.last_bytes += chunk
            return b""
        passing: list[bytes] = []
        for raw, data in self._splitter.feed(chunk):
            if self.finished:
                self.last_bytes += raw
            elif data == _DONE:
                self.finished = True
                self.last_bytes = raw
            elif data is None or not self._is_ours(data):
                passing.append(raw)
        if self.finished:
            self.last_bytes += self._splitter.rest()
        return passing[0] if len(passing) == 1 else b"".join(passing)

    def end(self) -> bytes:
        """Return the bytes still to be sent after the upstream's end."""
        last, self.last_bytes = self.last_bytes + self._splitter.rest(), b""
        return last

    def _is_ours(self, data: bytes) -> bool:
        """Read a chunk and return whether it is the usage chunk that only we asked for."""
        chunk = self.read_chunk(data)
        return (
            self._strip_usage
            and chunk is not None
            and chunk.choices is not None
            and not chunk.choices
            and chunk.usage is not None
        )


def _is_error(data: bytes) -> bool:
    return _ERROR_DECODER.decode(data).error is not None


def _length(text: _Text) -> int:
    count = len(text.content or "") + len(text.refusal or "") + len(text.reasoning_content or "")
    for call in text.tool_calls or ():
        if call.function is not None:
            count += len(call.function.arguments or "")
    if text.function_call is not None:
        count += len(text.function_call.arguments or "")
    return count
