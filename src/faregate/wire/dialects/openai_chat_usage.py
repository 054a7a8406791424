"""OpenAI chat completions: the usage of a whole answer, and what a reader of one comes to."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import force_setattr

from faregate.wire.dialects.openai_chat_answer import AnswerReader
from faregate.wire.dialects.request_fields import UNREADABLE
from faregate.wire.dialects.seam import AnswerRecord, Headers, MeteredRequest, Reading
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

_NAMES: Final = ("prompt_tokens", "completion_tokens")
_RECORD_DECODER: Final = msgspec.json.Decoder(AnswerRecord, float_hook=exact_number)
"""Whatever an upstream says at `tokens` is replaced."""

_new: Final = tuple.__new__
"""A named tuple's own way costs a call more."""

_DETAILED: Final = ("prompt_tokens", "prompt_tokens_details", "completion_tokens", "completion_tokens_details")


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
    return chat_reading(reader, input_estimate=input_estimate, most_output=most_output)


def chat_tokens(usage: Usage) -> Tokens:
    """Normalise a usage whose input includes what was cached."""
    if "prompt_tokens_details" in usage or "completion_tokens_details" in usage:
        return tokens_inclusive(usage, _DETAILED)
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if type(read) is not int or type(written) is not int or not (0 <= read <= MOST_TOKENS >= written >= 0):
        read, written = count_of(usage, "prompt_tokens"), count_of(usage, "completion_tokens")
    return Tokens(input=read, output=written, total=read + written)


def chat_reading(reader: AnswerReader, *, input_estimate: InputEstimate | None, most_output: int | None) -> Reading:
    """Return what a reader has seen, estimated where an `input_estimate` is given and nothing was reported."""
    usage, estimated = fill_usage(
        reader.usage,
        _NAMES,
        input_estimate=input_estimate,
        output_estimate=output_estimate(reader, most_output),
        final=True,
    )
    read, written = whole(usage.get("prompt_tokens")), whole(usage.get("completion_tokens"))
    if read is not None and written is not None:
        usage = usage | {"total_tokens": read + written}
    tokens = chat_tokens(usage) if usage else None
    record = AnswerRecord(id=reader.answer_id, model=reader.model, usage=usage or None, tokens=tokens)
    return Reading(record, estimated)


def output_estimate(reader: AnswerReader, most_output: int | None) -> int:
    """Return the reader's estimate of the output, within the limit."""
    estimate = reader.output_estimate
    return estimate if most_output is None else min(estimate, most_output)
