"""Anthropic messages: reading the usage of an answer as it passes.

Sources: Anthropic's API reference, "Create a Message", "Streaming Messages" and "Errors". `message_start` carries what
was read and a first count of what was written; `message_delta.usage` is cumulative. The last value of a field wins, and
none are added up. A stream ends with `message_stop`, or with an `error` event.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw, Struct

from faregate.base.limits import MAX_USAGE_EVENT_BYTES
from faregate.wire.dialects.event_stream import EventStream
from faregate.wire.dialects.request_fields import ABSENT, ENCODER, UNREADABLE, is_given, length_of
from faregate.wire.dialects.seam import AnswerRecord, Fault, Headers, MeteredRequest, Reading
from faregate.wire.dialects.tokens import (
    Counted,
    InputEstimate,
    Tokens,
    Usage,
    count_of,
    fill_usage,
    merge_usage,
    whole,
)
from faregate.wire.event import exact_number

_NAMES: Final = ("input_tokens", "output_tokens")
_NO_MONEY: Final = frozenset(("insufficient_quota",))
_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OTHER_CALLERS_FAULT: Final = "invalid_request_error"
_OTHER_FAULT: Final = "api_error"
_FIRST_OF_OURS: Final = 500


class _Head(Struct):
    id: object = None
    model: object = None
    usage: object = None


class _Block(Struct):
    text: object = None
    thinking: object = None
    input: Raw = ABSENT


class _Content(Struct):
    content: list[_Block] | None = None


class _Delta(Struct):
    text: object = None
    thinking: object = None
    partial_json: object = None
    stop_reason: object = None


class _Event(Struct):
    type: str | None = None
    message: _Head | None = None
    usage: object = None
    delta: _Delta | None = None
    content_block: _Block | None = None


class _Error(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`code` is ours: Anthropic's types do not tell one lack of credit from another."""

    type: str
    message: str
    code: str
    param: str | None = None


class _ErrorDocument(Struct, frozen=True, kw_only=True):
    type: str = "error"
    error: _Error


_HEAD_DECODER: Final = msgspec.json.Decoder(_Head, float_hook=exact_number)
_CONTENT_DECODER: Final = msgspec.json.Decoder(_Content)
_EVENT_DECODER: Final = msgspec.json.Decoder(_Event, float_hook=exact_number)


class _Answer:
    """What was seen of one answer. `final`: the last word on the output has been said."""

    __slots__ = ("answer_id", "counted", "final", "model", "usage")

    def __init__(self, most_output: int | None) -> None:
        self.answer_id: str | None = None
        self.model: str | None = None
        self.usage: Usage = {}
        self.counted = Counted(most_output)
        self.final = False

    @property
    def output(self) -> int:
        reported = whole(self.usage.get("output_tokens")) if self.final else None
        return self.counted.estimate if reported is None else reported

    def keep(self, head: _Head) -> None:
        if isinstance(head.id, str):
            self.answer_id = head.id
        if isinstance(head.model, str):
            self.model = head.model
        self.keep_usage(head.usage)

    def keep_usage(self, usage: object) -> None:
        if isinstance(usage, dict):
            self.usage = merge_usage(self.usage, usage)
            self.counted.report(usage.get("output_tokens"))

    def reading(self, input_estimate: InputEstimate | None) -> Reading:
        usage, estimated = fill_usage(
            self.usage,
            _NAMES,
            input_estimate=input_estimate,
            output_estimate=self.counted.estimate,
            final=self.final,
        )
        tokens = messages_tokens(usage) if usage else None
        return Reading(AnswerRecord(id=self.answer_id, model=self.model, usage=usage or None, tokens=tokens), estimated)


def messages_tokens(usage: Usage) -> Tokens:
    """Normalise a usage whose input excludes what was read from and written to the cache."""
    uncached, output = count_of(usage, "input_tokens"), count_of(usage, "output_tokens")
    cached_read = count_of(usage, "cache_read_input_tokens")
    cache_write = count_of(usage, "cache_creation_input_tokens")
    return Tokens(
        input=uncached,
        cached_read=cached_read,
        cache_write=cache_write,
        output=output,
        total=uncached + cached_read + cache_write + output,
    )


def read_messages_answer(
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
    answer.final = True
    try:
        answer.keep(_HEAD_DECODER.decode(body))
        if whole(answer.usage.get("output_tokens")) is None:
            for block in _CONTENT_DECODER.decode(body).content or ():
                answer.counted.add(_length(block))
    except UNREADABLE:
        pass
    return answer.reading(input_estimate)


def messages_error(fault: Fault) -> bytes:
    """Return the error document in Anthropic's shape; a lack of money is a `billing_error`, whatever its status."""
    if fault.type in _NO_MONEY:
        error_type = _TYPES[402]
    else:
        other = _OTHER_CALLERS_FAULT if fault.status < _FIRST_OF_OURS else _OTHER_FAULT
        error_type = _TYPES.get(fault.status, other)
    return ENCODER.encode(
        _ErrorDocument(error=_Error(type=error_type, message=fault.message, code=fault.code, param=fault.param))
    )


class MessagesStream(EventStream):
    """A streamed answer (`seam.StreamMeter`)."""

    __slots__ = ("_answer", "_began", "_counted_at_end", "_failed")

    def __init__(self, *, most_output: int | None, limit: int = MAX_USAGE_EVENT_BYTES) -> None:
        super().__init__(limit=limit)
        self._answer = _Answer(most_output)
        self._began = False
        self._counted_at_end = False
        self._failed = False

    def limit_output(self, most_output: int) -> None:
        """Never estimate more output than this from now on."""
        self._answer.counted.most = most_output

    @property
    def first_token_seen(self) -> bool:
        """Return whether some content has come."""
        return self._answer.counted.deltas > 0

    @property
    def output_so_far(self) -> int:
        """Return the last word on the output, else the larger of what was reported and the estimate."""
        return self._answer.output

    def read(self, *, input_estimate: InputEstimate | None, complete: bool) -> Reading:
        """Return what was read so far. A stream's own end decides what is final, so `complete` says nothing more.

        A stream in which nothing but an error came used nothing.
        """
        del complete
        return self._answer.reading(None if self._failed and not self._began else input_estimate)

    def close_with(self, fault: Fault) -> bytes:
        """Return an `error` event."""
        return self._drop_partial() + b"event: error\ndata: %b\n\n" % messages_error(fault)

    def _read(self, data: bytes) -> bool:
        try:
            event = _EVENT_DECODER.decode(data)
        except UNREADABLE:
            return False
        answer = self._answer
        match event.type:
            case "content_block_delta" | "content_block_start":
                self._began = True
                answer.counted.add(_added(event))
            case "message_start" if event.message is not None:
                self._began = True
                answer.keep(event.message)
            case "message_delta":
                self._began = True
                self._keep_delta(event)
            case "message_stop":
                answer.final = self._counted_at_end
                return True
            case "error":
                self._failed = True
                return True
            case _:
                pass
        return False

    def _keep_delta(self, event: _Event) -> None:
        """Keep cumulative counts: the last word once they come with the reason why the answer stopped."""
        answer = self._answer
        answer.keep_usage(event.usage)
        if isinstance(event.usage, dict) and whole(event.usage.get("output_tokens")) is not None:
            self._counted_at_end = True
            answer.final = event.delta is not None and event.delta.stop_reason is not None


def stream_messages(*, request: MeteredRequest | None, headers: Headers, most_output: int | None) -> MessagesStream:
    """Return the reader of a streamed answer."""
    del request, headers
    return MessagesStream(most_output=most_output)


def _added(event: _Event) -> int:
    count = 0 if event.content_block is None else length_of(event.content_block.text)
    delta = event.delta
    if delta is not None:
        count += length_of(delta.text) + length_of(delta.thinking) + length_of(delta.partial_json)
    return count


def _length(block: _Block) -> int:
    written = len(bytes(block.input)) if is_given(block.input) else 0
    return length_of(block.text) + length_of(block.thinking) + written
