"""OpenAI chat completions behind the seam; the work is done in `openai_chat.py` and `openai_chat_answer.py`."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from msgspec import field
from msgspec.structs import force_setattr

from faregate.wire.dialects.event_stream import EVENT_END
from faregate.wire.dialects.openai_chat import (
    ChatRequest,
    RequestSummary,
    estimate_input,
    input_bound,
    require_bounded,
    require_limits,
    rewrite,
    summarise,
)
from faregate.wire.dialects.openai_chat_answer import AnswerReader, StreamReader
from faregate.wire.dialects.request_fields import UNREADABLE, decode_request
from faregate.wire.dialects.seam import AnswerRecord, Fault, Headers, MeteredRequest, Reading
from faregate.wire.dialects.settings import NO_PARTS, PartBounds
from faregate.wire.dialects.tokens import (
    MOST_TOKENS,
    InputEstimate,
    Tokens,
    Usage,
    count_of,
    fill_usage,
    tokens_inclusive,
    whole,
)
from faregate.wire.event import exact_number
from faregate.wire.openai_errors import encode_error

_NAMES: Final = ("prompt_tokens", "completion_tokens")
_RECORD_DECODER: Final = msgspec.json.Decoder(AnswerRecord, float_hook=exact_number)
"""Whatever an upstream says at `tokens` is replaced."""

_new: Final = tuple.__new__
"""A named tuple's own way costs a call more."""

_DETAILED: Final = ("prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details")


class ChatCall(ChatRequest):
    """A request that was read (`seam.MeteredRequest`). `body` is no field of it: it is set once the rest is read.

    Beside the request in one object, not around it in another: each call would pay for every step through.
    """

    least_output_per_choice: ClassVar[int] = 1

    body: bytes = field(default=b"", name="(the whole body)")

    @property
    def streams(self) -> bool:
        """Return whether the caller asked for server-sent events."""
        return self.stream is True

    def require_bounded(self, parts: PartBounds = NO_PARTS) -> int:
        """Return what parts that are no text add to the input's bound; `InvalidInput` names one without a bound."""
        return require_bounded(self, parts)

    def input_bound(self) -> int:
        """Return the most input tokens the request can come to."""
        return input_bound(self, self.body)

    def input_estimate(self) -> int:
        """Return the input tokens to bill when the upstream reports none."""
        return estimate_input(self)

    def summary(self) -> RequestSummary:
        """Return what the event keeps of the request."""
        return summarise(self)

    def rewrite(self, *, most_output_per_choice: int | None) -> bytes:
        """Return the body with its output limited, and usage asked for where it streams."""
        return rewrite(self, self.body, most_output_per_choice=most_output_per_choice)


_CALL_DECODER: Final = msgspec.json.Decoder(ChatCall)


def read_chat_call(body: bytes) -> ChatCall:
    """Return the request; `InvalidInput` names the field that is malformed or out of range."""
    call = decode_request(_CALL_DECODER, body)
    require_limits(call)
    call.body = body
    return call


class ChatStream(StreamReader):
    """A streamed answer (`seam.StreamMeter`)."""

    __slots__ = ("_most_output",)

    def __init__(self, *, strip_usage: bool, most_output: int | None) -> None:
        super().__init__(strip_usage=strip_usage)
        self._most_output = most_output

    @property
    def first_token_seen(self) -> bool:
        """Return whether some content has come."""
        return self.deltas > 0

    @property
    def output_so_far(self) -> int:
        """Return what was reported, else the estimate."""
        reported = whole(self.usage.get("completion_tokens"))
        return _estimate(self, self._most_output) if reported is None else reported

    def limit_output(self, most_output: int) -> None:
        """Never estimate more output than this from now on."""
        self._most_output = most_output

    def read(self, *, input_estimate: InputEstimate | None, complete: bool) -> Reading:
        """Return what was read so far. Usage comes once and is the last word, so `complete` says nothing more.

        A stream in which nothing but an error came used nothing.
        """
        del complete
        if self.failed and self.answer_id is None and not self.deltas:
            input_estimate = None
        return _reading(self, input_estimate=input_estimate, most_output=self._most_output)

    def close_with(self, fault: Fault) -> bytes:
        """Return an event with OpenAI's error document, and no `[DONE]`."""
        begun = EVENT_END if self._splitter.inside_event else b""
        self._splitter.rest()
        self.last_bytes = b""
        return begun + b"data: %b\n\n" % chat_error(fault)


def read_chat_answer(
    body: bytes,
    *,
    request: MeteredRequest | None = None,
    headers: Headers = (),
    input_estimate: InputEstimate | None,
    most_output: int | None,
) -> Reading:
    """Read a whole answer; one that is not JSON leaves everything unknown."""
    del request, headers
    try:
        record = _RECORD_DECODER.decode(body)
    except UNREADABLE:
        pass
    else:
        usage = record.usage
        if usage:
            read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
            if type(read) is int and type(written) is int and None not in usage.values():
                usage["total_tokens"] = read + written
                force_setattr(record, "tokens", chat_tokens(usage))
                return _new(Reading, (record, False))
    reader = AnswerReader()
    reader.read_json(body)
    return _reading(reader, input_estimate=input_estimate, most_output=most_output)


def stream_chat(*, request: MeteredRequest | None, headers: Headers, most_output: int | None) -> ChatStream:
    """Return the reader of a streamed answer; usage that only we asked for is left out."""
    del headers
    strip = isinstance(request, ChatCall) and request.streams and not request.wants_usage
    return ChatStream(strip_usage=strip, most_output=most_output)


def chat_tokens(usage: Usage) -> Tokens:
    """Normalise a usage whose input includes what was cached."""
    if "prompt_tokens_details" in usage or "completion_tokens_details" in usage:
        return tokens_inclusive(usage, _DETAILED)
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(read) is not int or type(written) is not int or not (0 <= read <= MOST_TOKENS >= written >= 0):
        read, written = count_of(usage, "prompt_tokens"), count_of(usage, "completion_tokens")
    return Tokens(input=read, output=written, total=read + written)


def chat_error(fault: Fault) -> bytes:
    """Return the error document in OpenAI's shape."""
    return encode_error(message=fault.message, error_type=fault.type, code=fault.code, param=fault.param)


def _reading(reader: AnswerReader, *, input_estimate: InputEstimate | None, most_output: int | None) -> Reading:
    usage, estimated = fill_usage(
        reader.usage,
        _NAMES,
        input_estimate=input_estimate,
        output_estimate=_estimate(reader, most_output),
        final=True,
    )
    read, written = whole(usage.get("prompt_tokens")), whole(usage.get("completion_tokens"))
    if read is not None and written is not None:
        usage = usage | {"total_tokens": read + written}
    tokens = chat_tokens(usage) if usage else None
    record = AnswerRecord(id=reader.answer_id, model=reader.model, usage=usage or None, tokens=tokens)
    return Reading(record, estimated)


def _estimate(reader: AnswerReader, most_output: int | None) -> int:
    estimate = reader.output_estimate
    return estimate if most_output is None else min(estimate, most_output)
