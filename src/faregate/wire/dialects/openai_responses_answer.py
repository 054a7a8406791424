"""OpenAI responses: reading the usage of an answer as it passes.

Sources: OpenAI's API reference, "The response object" and "Streaming events". A stream's usage is in its last event
(`response.completed`, `response.incomplete` or `response.failed`), at `response.usage`, beside the whole response.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from faregate.base.limits import MAX_USAGE_EVENT_BYTES
from faregate.wire.dialects.event_stream import EventStream
from faregate.wire.dialects.large_event import ObjectFinder
from faregate.wire.dialects.request_fields import UNREADABLE, length_of
from faregate.wire.dialects.seam import AnswerRecord, Fault, Headers, MeteredRequest, Reading
from faregate.wire.dialects.tokens import (
    Counted,
    InputEstimate,
    Usage,
    fill_usage,
    merge_usage,
    tokens_inclusive,
    whole,
)
from faregate.wire.event import exact_number

_LAST: Final = frozenset(("response.completed", "response.incomplete", "response.failed"))
_FAILURES: Final = frozenset(("error", "response.failed"))
_NO_TEXT: Final = frozenset(("response.audio.delta",))
"""Deltas whose length says nothing of tokens."""

_NAMES: Final = ("input_tokens", "output_tokens")
_DETAILED: Final = ("input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details")


class _Head(Struct):
    id: object = None
    model: object = None
    usage: object = None


class _Part(Struct):
    text: object = None
    refusal: object = None


class _Element(Struct):
    """One element of a whole answer's `output`."""

    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    arguments: object = None
    input: object = None


class _Output(Struct):
    output: list[_Element] | None = None


class _Event(Struct):
    type: str | None = None
    delta: object = None
    sequence_number: object = None
    response: _Head | None = None


class _ErrorEvent(Struct, kw_only=True):
    """The documented event, with the error as an object beside it: the official client raises where it finds that."""

    type: str = "error"
    code: str
    message: str
    param: str | None
    sequence_number: int
    error: dict[str, str | None]


_HEAD_DECODER: Final = msgspec.json.Decoder(_Head, float_hook=exact_number)
_OUTPUT_DECODER: Final = msgspec.json.Decoder(_Output)
_EVENT_DECODER: Final = msgspec.json.Decoder(_Event, float_hook=exact_number)
_USAGE_DECODER: Final = msgspec.json.Decoder(dict[str, object], float_hook=exact_number)


class _Answer:
    """What was seen of one answer."""

    __slots__ = ("answer_id", "counted", "model", "usage")

    def __init__(self, most_output: int | None) -> None:
        self.answer_id: str | None = None
        self.model: str | None = None
        self.usage: Usage = {}
        self.counted = Counted(most_output)

    @property
    def output(self) -> int:
        reported = whole(self.usage.get("output_tokens"))
        return self.counted.estimate if reported is None else reported

    def keep(self, head: _Head) -> None:
        if isinstance(head.id, str):
            self.answer_id = head.id
        if isinstance(head.model, str):
            self.model = head.model
        if isinstance(head.usage, dict):
            self.usage = merge_usage(self.usage, head.usage)

    def reading(self, input_estimate: InputEstimate | None) -> Reading:
        usage, estimated = fill_usage(
            self.usage, _NAMES, input_estimate=input_estimate, output_estimate=self.counted.estimate, final=True
        )
        read, written = whole(usage.get("input_tokens")), whole(usage.get("output_tokens"))
        if read is not None and written is not None:
            usage = usage | {"total_tokens": read + written}
        tokens = tokens_inclusive(usage, _DETAILED) if usage else None
        return Reading(AnswerRecord(id=self.answer_id, model=self.model, usage=usage or None, tokens=tokens), estimated)


def read_responses_answer(
    body: bytes,
    *,
    request: MeteredRequest | None = None,
    headers: Headers = (),
    input_estimate: InputEstimate | None,
    most_output: int | None,
) -> Reading:
    """Read a whole answer; one that is not JSON leaves everything unknown."""
    del request, headers
    answer = _Answer(most_output)
    try:
        answer.keep(_HEAD_DECODER.decode(body))
        if whole(answer.usage.get("output_tokens")) is None:
            _count(answer.counted, _OUTPUT_DECODER.decode(body))
    except UNREADABLE:
        pass
    return answer.reading(input_estimate)


class ResponsesStream(EventStream):
    """A streamed answer (`seam.StreamMeter`). An event over `limit` bytes is searched for its usage."""

    __slots__ = ("_answer", "_began", "_failed", "_finder", "_sequence_number")

    def __init__(self, *, most_output: int | None, limit: int = MAX_USAGE_EVENT_BYTES) -> None:
        super().__init__(limit=limit)
        self._answer = _Answer(most_output)
        self._finder: ObjectFinder | None = None
        self._began = False
        self._failed = False
        self._sequence_number = -1

    def limit_output(self, most_output: int) -> None:
        """Never estimate more output than this from now on."""
        self._answer.counted.most = most_output

    @property
    def first_token_seen(self) -> bool:
        """Return whether some content has come."""
        return self._answer.counted.deltas > 0

    @property
    def output_so_far(self) -> int:
        """Return what was reported, else the estimate."""
        return self._answer.output

    def read(self, *, input_estimate: InputEstimate | None, complete: bool) -> Reading:
        """Return what was read so far. Usage comes once and is the last word, so `complete` says nothing more.

        A stream in which nothing but an error came used nothing.
        """
        del complete
        return self._answer.reading(None if self._failed and not self._began else input_estimate)

    def close_with(self, fault: Fault) -> bytes:
        """Return an `error` event that continues the stream's numbers."""
        event = _ErrorEvent(
            code=fault.code,
            message=fault.message,
            param=fault.param,
            sequence_number=self._sequence_number + 1,
            error={"message": fault.message, "type": fault.type, "param": fault.param, "code": fault.code},
        )
        return self._drop_partial() + b"event: error\ndata: %b\n\n" % msgspec.json.encode(event)

    def _read(self, data: bytes) -> bool:
        try:
            event = _EVENT_DECODER.decode(data)
        except UNREADABLE:
            return False
        if type(event.sequence_number) is int:
            self._sequence_number = event.sequence_number
        kind = event.type or ""
        if kind in _FAILURES:
            self._failed = True
        if event.response is not None:
            self._began = self._began or kind not in _FAILURES
            self._answer.keep(event.response)
            return kind in _LAST
        if kind.endswith(".delta") and kind not in _NO_TEXT:
            self._began = True
            self._answer.counted.add(length_of(event.delta))
        return False

    def _read_piece(self, raw: bytes, *, first: bool, last: bool) -> bool:
        if first or self._finder is None:
            self._finder = ObjectFinder(b"response", b"usage")
        self._began = True
        self._finder.feed(raw)
        if self._finder.found is None:
            return False
        # Only the last event bears a usage that is not null.
        try:
            self._answer.keep(_Head(usage=_USAGE_DECODER.decode(self._finder.found)))
        except UNREADABLE:
            return False
        return last


def stream_responses(*, request: MeteredRequest | None, headers: Headers, most_output: int | None) -> ResponsesStream:
    """Return the reader of a streamed answer."""
    del request, headers
    return ResponsesStream(most_output=most_output)


def _count(counted: Counted, whole_answer: _Output) -> None:
    for element in whole_answer.output or ():
        for part in (*(element.content or ()), *(element.summary or ())):
            counted.add(length_of(part.text) + length_of(part.refusal))
        counted.add(length_of(element.arguments) + length_of(element.input))
