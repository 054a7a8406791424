"""Anthropic's messages as one of the protocols that the demo upstream speaks.

Source: Anthropic's API reference, "Create a Message", "Streaming Messages" and "Errors". Usage is in the JSON
body; in a stream, that of the input in `message_start`, with a first count of the output, and that of the output, which
is cumulative, in `message_delta`.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Final

import msgspec

from faregate.apps.upstream.answering import REPLAY_TOKENS_PER_CHUNK, TOKENS_PER_MESSAGE, StreamEvent
from faregate.apps.upstream.directions import Directions
from faregate.apps.upstream.reply import STREAM_FAILURE, CallMark, Reply, Spoken, compose_text, typed_event
from faregate.apps.upstream.shapes import ContentPart, ErrorDetail, decode_body
from faregate.apps.upstream.tokenizer import count_tokens

_ENCODE: Final = msgspec.json.Encoder().encode
_STOP_REASONS: Final = {"stop": "end_turn", "length": "max_tokens"}
_ERROR_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Message(msgspec.Struct, frozen=True):
    """One message; blocks without text are not counted."""

    role: str
    content: str | list[ContentPart]


class MessagesRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/messages`; other fields are accepted and ignored."""

    model: str
    max_tokens: Annotated[int, msgspec.Meta(ge=1)]
    messages: Annotated[list[Message], msgspec.Meta(min_length=1)]
    system: str | list[ContentPart] | None = None
    stream: bool | None = None


_DECODER: Final = msgspec.json.Decoder(MessagesRequest)


class _Answer:
    """Writes one message, whole or in events."""

    def __init__(self, request: MessagesRequest, directions: Directions, call_number: int) -> None:
        seed, self.completion = compose_text([request.system, request.messages], directions, bound=request.max_tokens)
        self._id = f"msg_{seed:016x}{call_number:08x}"
        self._request = request
        self._directions = directions
        counted = _count_input(request) if directions.prompt_tokens is None else directions.prompt_tokens
        self.prompt_tokens: Final[int] = counted

    def body(self) -> bytes:
        message = self._message([{"type": "text", "text": "".join(self.completion.tokens)}])
        message["stop_reason"] = _STOP_REASONS[self.completion.finish_reason]
        if not self._directions.omit_usage:
            message["usage"] = self._directions.usage or self._input_usage() | self._output_usage()
        return _ENCODE(message)

    def events(self) -> Iterator[StreamEvent]:
        message = self._message([])
        if not self._directions.omit_usage:
            message["usage"] = self._input_usage() | {"output_tokens": 1}
        yield typed_event({"type": "message_start", "message": message})
        yield typed_event(
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        )
        yield typed_event({"type": "ping"})
        step = 1 if self._directions.completion_tokens is None else REPLAY_TOKENS_PER_CHUNK
        for start in range(0, len(self.completion.tokens), step):
            tokens = self.completion.tokens[start : start + step]
            delta = {"type": "text_delta", "text": "".join(tokens)}
            yield typed_event({"type": "content_block_delta", "index": 0, "delta": delta}, tokens=len(tokens))
        yield typed_event({"type": "content_block_stop", "index": 0})
        ending: dict[str, object] = {
            "type": "message_delta",
            "delta": {"stop_reason": _STOP_REASONS[self.completion.finish_reason], "stop_sequence": None},
        }
        if not self._directions.omit_usage:
            ending["usage"] = self._directions.usage or self._output_usage()
        yield typed_event(ending)

    def last(self) -> bytes:
        return typed_event({"type": "message_stop"}).text

    def _message(self, content: list[dict[str, str]]) -> dict[str, object]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._request.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _input_usage(self) -> dict[str, object]:
        return {
            "input_tokens": self.prompt_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        }

    def _output_usage(self) -> dict[str, object]:
        return {"output_tokens": len(self.completion.tokens)}


def _answer(body: bytes, directions: Directions, call: CallMark) -> tuple[Reply, bool]:
    request = decode_body(_DECODER, body)
    answer = _Answer(request, directions, call.number)
    reply = Reply(
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=len(answer.completion.tokens),
        body=answer.body,
        events=answer.events,
        last=answer.last,
        failure=lambda: b"event: error\ndata: %b\n\n" % _error(HTTPStatus.INTERNAL_SERVER_ERROR, STREAM_FAILURE),
    )
    return reply, bool(request.stream)


def _error(status: int, detail: ErrorDetail) -> bytes:
    other = "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "api_error"
    return _ENCODE({"type": "error", "error": {"type": _ERROR_TYPES.get(status, other), "message": detail.message}})


def _count_input(request: MessagesRequest) -> int:
    count = 0
    texts = [] if request.system is None else [request.system]
    for content in (*texts, *(message.content for message in request.messages)):
        parts = [content] if isinstance(content, str) else [part.text for part in content]
        count += TOKENS_PER_MESSAGE + sum(map(count_tokens, parts))
    return count


MESSAGES: Final = Spoken(path="/messages", answer=_answer, error=_error)
