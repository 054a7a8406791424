"""Chat completions as one of the protocols that the demo upstream speaks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec

from faregate.apps.upstream.answering import STREAM_END, answer, json_body, stream_events
from faregate.apps.upstream.directions import Directions
from faregate.apps.upstream.reply import STREAM_FAILURE, CallMark, Reply, Spoken
from faregate.apps.upstream.shapes import ErrorBody, ErrorDetail, read_chat_request

_ENCODE: Final = msgspec.json.Encoder().encode


def openai_error(_status: int, detail: ErrorDetail) -> bytes:
    """Return the error in OpenAI's shape."""
    return _ENCODE(ErrorBody(error=detail))


def _answer(body: bytes, directions: Directions, call: CallMark) -> tuple[Reply, bool]:
    request = read_chat_request(body)
    whole = answer(request, directions, call_number=call.number, created_at_s=call.created_at_s)
    reply = Reply(
        prompt_tokens=whole.prompt_tokens,
        completion_tokens=whole.completion_tokens,
        body=lambda: json_body(whole),
        events=lambda: stream_events(whole),
        last=lambda: STREAM_END,
        failure=lambda: b"data: %b\n\n" % openai_error(HTTPStatus.OK, STREAM_FAILURE),
    )
    return reply, bool(request.stream)


CHAT: Final = Spoken(path="/chat/completions", answer=_answer, error=openai_error)
