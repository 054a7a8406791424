"""The little of ASGI (https://asgi.readthedocs.io) that the hot routes need: a request, its body, an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import msgspec

from faregate.base.errors import TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON: Final = b"application/json"
TEXT: Final = b"text/plain; charset=utf-8"

_DRAINED_BYTES: Final = 64 << 20
"""A body that is too large is read to its end up to here, so that the caller gets to see the refusal."""


class Disconnected(Exception):
    """The caller went away before its request was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. Header names are lower case; of a repeated header the last one counts."""

    method: str
    path: str
    query: bytes
    headers: MutableMapping[bytes, bytes]
    receive: Receive

    def header(self, name: bytes) -> str:
        """Return a header's value, or the empty string."""
        return self.headers.get(name, b"").decode("latin-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A complete answer."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())
    is_cut: bool = False
    """The connection is closed before the answer's end: the caller never learns what it was."""


def to_request(scope: Scope, receive: Receive) -> Request:
    """Return the request of an ASGI scope."""
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"],
        headers=dict(scope["headers"]),
        receive=receive,
    )


def json_answer(value: object, status: int = HTTPStatus.OK) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status=status, body=msgspec.json.encode(value))


async def send_answer(answer: Answer, send: Send) -> None:
    """Send a whole answer."""
    length = len(answer.body) + (1 if answer.is_cut else 0)
    headers = [(b"content-length", str(length).encode()), *answer.headers]
    if answer.body:
        headers.append((b"content-type", answer.content_type))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": answer.is_cut})


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Return the whole body.

    Raises:
        TooLarge: The body is, or says that it is, over `most_bytes`.
        Disconnected: The caller went away before the end.
    """
    stated = request.header(b"content-length")
    too_large = TooLarge(f"the request body is over the limit of {most_bytes} bytes")
    if stated.isdecimal() and int(stated) > most_bytes:
        await _drain(request.receive)
        raise too_large
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in _chunks(request.receive):
        chunks.append(chunk)
        size_bytes += len(chunk)
        if size_bytes > most_bytes:
            await _drain(request.receive)
            raise too_large
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _drain(receive: Receive) -> None:
    left_bytes = _DRAINED_BYTES
    async for chunk in _chunks(receive):
        left_bytes -= len(chunk)
        if left_bytes < 0:
            return


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return
