"""OpenAI's responses as one of the protocols that the demo upstream speaks.

Source: OpenAI's API reference, "Create a model response" and "Streaming events". Usage is in the JSON body, or in the
stream's last event alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from faregate.apps.upstream.answering import REPLAY_TOKENS_PER_CHUNK, TOKENS_PER_MESSAGE, StreamEvent
from faregate.apps.upstream.directions import Directions
from faregate.apps.upstream.reply import STREAM_FAILURE, CallMark, Reply, Spoken, compose_text, typed_event
from faregate.apps.upstream.shapes import ContentPart, decode_body
from faregate.apps.upstream.speaking_chat import openai_error
from faregate.apps.upstream.tokenizer import count_tokens

LEAST_OUTPUT_TOKENS: Final = 16
"""OpenAI's own bound for `max_output_tokens`."""

_ENCODE: Final = msgspec.json.Encoder().encode


class Element(msgspec.Struct, frozen=True):
    """One message of the input; what is no message is not counted."""

    role: str = ""
    content: str | list[ContentPart] = ""


class ResponsesRequest(msgspec.Struct, frozen=True):
    """The body of `POST /v1/responses`; other fields are accepted and ignored."""

    model: str
    input: str | list[Element]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=LEAST_OUTPUT_TOKENS)] | None = None


_DECODER: Final = msgspec.json.Decoder(ResponsesRequest)


class _Response:
    """Writes one response, whole or in events; `number` is the next event's."""

    def __init__(self, request: ResponsesRequest, directions: Directions, call: CallMark) -> None:
        seed, self.completion = compose_text(
            [request.instructions, request.input], directions, bound=request.max_output_tokens
        )
        self._id = f"{seed:016x}{call.number:08x}"
        self._created_at_s = call.created_at_s
        self._request = request
        self._directions = directions
        self._number = 0
        counted = _count_input(request) if directions.prompt_tokens is None else directions.prompt_tokens
        self.prompt_tokens: Final[int] = counted

    def body(self) -> bytes:
        return _ENCODE(self._whole())

    def events(self) -> Iterator[StreamEvent]:
        self._number = 0
        place: dict[str, object] = {"item_id": f"msg_{self._id}", "output_index": 0, "content_index": 0}
        text = "".join(self.completion.tokens)
        yield self._event("response.created", {"response": self._begun()})
        yield self._event("response.in_progress", {"response": self._begun()})
        yield self._event("response.output_item.added", {"output_index": 0, "item": self._message(None)})
        yield self._event("response.content_part.added", place | {"part": _part("")})
        step = 1 if self._directions.completion_tokens is None else REPLAY_TOKENS_PER_CHUNK
        for start in range(0, len(self.completion.tokens), step):
            tokens = self.completion.tokens[start : start + step]
            delta = place | {"delta": "".join(tokens)}
            yield self._event("response.output_text.delta", delta, tokens=len(tokens))
        yield self._event("response.output_text.done", place | {"text": text})
        yield self._event("response.content_part.done", place | {"part": _part(text)})
        yield self._event("response.output_item.done", {"output_index": 0, "item": self._message(text)})

    def last(self) -> bytes:
        cut = self.completion.finish_reason == "length"
        return self._event("response.incomplete" if cut else "response.completed", {"response": self._whole()}).text

    def failure(self) -> bytes:
        error = {"code": STREAM_FAILURE.code, "message": STREAM_FAILURE.message}
        return self._event("response.failed", {"response": self._begun() | {"status": "failed", "error": error}}).text

    def _event(self, kind: str, members: dict[str, object], *, tokens: int = 0) -> StreamEvent:
        number, self._number = self._number, self._number + 1
        return typed_event({"type": kind, "sequence_number": number} | members, tokens=tokens)

    def _begun(self) -> dict[str, object]:
        return {
            "id": f"resp_{self._id}",
            "object": "response",
            "created_at": self._created_at_s,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "instructions": self._request.instructions,
            "max_output_tokens": self._request.max_output_tokens,
            "model": self._request.model,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
            "metadata": {},
        }

    def _whole(self) -> dict[str, object]:
        cut = self.completion.finish_reason == "length"
        return self._begun() | {
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": [self._message("".join(self.completion.tokens))],
            "usage": None if self._directions.omit_usage else self._directions.usage or self._usage(),
        }

    def _message(self, text: str | None) -> dict[str, object]:
        return {
            "id": f"msg_{self._id}",
            "type": "message",
            "status": "in_progress" if text is None else "completed",
            "role": "assistant",
            "content": [] if text is None else [_part(text)],
        }

    def _usage(self) -> dict[str, object]:
        read, written = self.prompt_tokens, len(self.completion.tokens)
        return {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": read + written,
        }


def _answer(body: bytes, directions: Directions, call: CallMark) -> tuple[Reply, bool]:
    request = decode_body(_DECODER, body)
    response = _Response(request, directions, call)
    reply = Reply(
        prompt_tokens=response.prompt_tokens,
        completion_tokens=len(response.completion.tokens),
        body=response.body,
        events=response.events,
        last=response.last,
        failure=response.failure,
    )
    return reply, bool(request.stream)


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": []}


def _count_input(request: ResponsesRequest) -> int:
    count = 0 if request.instructions is None else TOKENS_PER_MESSAGE + count_tokens(request.instructions)
    if isinstance(request.input, str):
        return count + TOKENS_PER_MESSAGE + count_tokens(request.input)
    for element in request.input:
        content = element.content
        texts = [content] if isinstance(content, str) else [part.text for part in content]
        count += TOKENS_PER_MESSAGE + sum(map(count_tokens, texts))
    return count


RESPONSES: Final = Spoken(path="/responses", answer=_answer, error=openai_error)
