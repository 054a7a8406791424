"""OpenAI chat completions behind the seam; the work is done in `openai_chat.py` and `openai_chat_answer.py`."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec
from msgspec import field

from faregate.wire.dialects.event_stream import EVENT_END
from faregate.wire.dialects.openai_chat import (
    estimate_input,
    input_bound,
    require_bounded,
    require_limits,
    rewrite,
    summarise,
)
from faregate.wire.dialects.openai_chat_answer import StreamReader
from faregate.wire.dialects.openai_chat_request import ChatRequest, RequestSummary
from faregate.wire.dialects.openai_chat_usage import chat_reading, output_estimate
from faregate.wire.dialects.request_fields import decode_request
from faregate.wire.dialects.seam import Fault, Headers, MeteredRequest, Reading
from faregate.wire.dialects.settings import NO_PARTS, PartBounds
from faregate.wire.dialects.tokens import InputEstimate, whole
from faregate.wire.openai_errors import encode_error


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
        return output_estimate(self, self._most_output) if reported is None else reported

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
        return chat_reading(self, input_estimate=input_estimate, most_output=self._most_output)

    def close_with(self, fault: Fault) -> bytes:
        """Return an event with OpenAI's error document, and no `[DONE]`."""
        begun = EVENT_END if self._splitter.inside_event else b""
        self._splitter.rest()
        self.last_bytes = b""
        return begun + b"data: %b\n\n" % chat_error(fault)


def stream_chat(*, request: MeteredRequest | None, headers: Headers, most_output: int | None) -> ChatStream:
    """Return the reader of a streamed answer; usage that only we asked for is left out."""
    del headers
    strip = isinstance(request, ChatCall) and request.streams and not request.wants_usage
    return ChatStream(strip_usage=strip, most_output=most_output)


def chat_error(fault: Fault) -> bytes:
    """Return the error document in OpenAI's shape."""
    return encode_error(message=fault.message, error_type=fault.type, code=fault.code, param=fault.param)
