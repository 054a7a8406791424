"""OpenAI chat completions behind the seam; the work is done in `openai_chat.py` and `openai_chat_answer.py`."""

from __future__ import annotations

from typing import Final

from faregate.wire.dialects.event_stream import EVENT_END
from faregate.wire.dialects.openai_chat import (
    ChatRequest,
    RequestSummary,
    estimate_input,
    input_bound,
    read_request,
    require_bounded,
    rewrite,
    summarise,
)
from faregate.wire.dialects.openai_chat_answer import AnswerReader, AnswerSummary, StreamReader, read_answer
from faregate.wire.dialects.seam import AnswerRecord, Fault, Reading
from faregate.wire.dialects.tokens import Tokens, count_of, fill_usage, tokens_inclusive, whole
from faregate.wire.openai_errors import encode_error

_NAMES: Final = ("prompt_tokens", "completion_tokens")
_DETAILED: Final = ("prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details")


class ChatCall:
    """A request that was read (`seam.MeteredRequest`)."""

    __slots__ = ("_body", "request")

    least_output_per_choice: Final = 1

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.request: Final[ChatRequest] = read_request(body)

    @property
    def streams(self) -> bool:
        """Return whether the caller asked for server-sent events."""
        return self.request.stream is True

    @property
    def choices(self) -> int:
        """Return how many answers are asked for."""
        return self.request.choices

    @property
    def most_output_per_choice(self) -> int | None:
        """Return the caller's own limit on one answer's tokens, or None where it names none."""
        return self.request.most_output_per_choice

    def require_bounded(self) -> None:
        """Raise `InvalidInput` naming a part whose usage its text does not bound."""
        require_bounded(self.request)

    def input_bound(self) -> int:
        """Return the most input tokens the request can come to."""
        return input_bound(self.request, self._body)

    def input_estimate(self) -> int:
        """Return the input tokens to bill when the upstream reports none."""
        return estimate_input(self.request)

    def summary(self) -> RequestSummary:
        """Return what the event keeps of the request."""
        return summarise(self.request)

    def rewrite(self, *, most_output_per_choice: int | None) -> bytes:
        """Return the body with its output limited, and usage asked for where it streams."""
        return rewrite(self.request, self._body, most_output_per_choice=most_output_per_choice)


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

    def read(self, *, input_estimate: int | None, complete: bool) -> Reading:
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


def read_chat_answer(body: bytes, *, input_estimate: int | None, most_output: int | None) -> Reading:
    """Read a whole answer; one that is not JSON leaves everything unknown."""
    summary, _ = read_answer(body, input_estimate=None)
    usage = summary.usage
    if usage is not None and type(usage.get("prompt_tokens")) is int and type(usage.get("completion_tokens")) is int:
        return Reading(_record(summary), estimated=False)
    reader = AnswerReader()
    reader.read_json(body)
    return _reading(reader, input_estimate=input_estimate, most_output=most_output)


def chat_tokens(usage: dict[str, object]) -> Tokens:
    """Normalise a usage whose input includes what was cached."""
    if "prompt_tokens_details" in usage or "completion_tokens_details" in usage:
        return tokens_inclusive(usage, _DETAILED)
    read, written = count_of(usage, "prompt_tokens"), count_of(usage, "completion_tokens")
    return Tokens(input=read, output=written, total=read + written)


def chat_error(fault: Fault) -> bytes:
    """Return the error document in OpenAI's shape."""
    return encode_error(message=fault.message, error_type=fault.type, code=fault.code, param=fault.param)


def _reading(reader: AnswerReader, *, input_estimate: int | None, most_output: int | None) -> Reading:
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
    summary = AnswerSummary(id=reader.answer_id, model=reader.model, usage=usage or None)
    return Reading(_record(summary), estimated)


def _estimate(reader: AnswerReader, most_output: int | None) -> int:
    estimate = reader.output_estimate
    return estimate if most_output is None else min(estimate, most_output)


def _record(summary: AnswerSummary) -> AnswerRecord:
    usage = summary.usage
    tokens = None if usage is None else chat_tokens(usage)
    return AnswerRecord(id=summary.id, model=summary.model, usage=usage, tokens=tokens)
