"""The HTTP client towards upstreams, and the only file that knows which library it is.

pyreqwest returns from a streamed call when its read buffer is full or the body has ended. With a buffer of 0 that is
the moment the head arrives, so that no server-sent event is ever held up; with a larger one a small answer costs one
wait instead of two.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, RequestError, RequestTimeoutError
from pyreqwest.http import Url
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from faregate.base.limits import MAX_USAGE_EVENT_BYTES

Headers = list[tuple[str, str]]

_MOST_URLS: Final = 1_000
_SMALL_ANSWER_BYTES: Final = 65_536
"""An answer up to this size is here to its end when the call returns."""

_NOT_CONNECTED: Final = "client error (Connect)"
"""hyper's words where there was no connection. The class of an error does not tell: a broken one has the same."""

_POOL_IDLE: Final = timedelta(seconds=20)


class UpstreamFailed(Exception):
    """The upstream could not be reached, or broke off.

    `was_sent`: whether something of the request may have reached it.
    """

    def __init__(self, message: str, *, was_sent: bool = True) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class UpstreamTimedOut(UpstreamFailed):
    """The upstream took longer than the route allows."""


class Timeouts(Protocol):
    """A route's limits in milliseconds."""

    @property
    def connect_timeout_ms(self) -> int: ...  # noqa: D102 - see above
    @property
    def read_timeout_ms(self) -> int: ...  # noqa: D102 - see above
    @property
    def total_timeout_ms(self) -> int: ...  # noqa: D102 - see above


class Meter(Protocol):
    """What reads a stream as it passes."""

    @property
    def finished(self) -> bool: ...  # noqa: D102 - see above
    def feed(self, chunk: bytes) -> bytes: ...  # noqa: D102 - see above


class WholeAnswer:
    """An answer that is here to its end."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class UpstreamAnswer:
    """An answer whose head is here. `status` and `headers` as sent; hop-by-hop headers included."""

    __slots__ = ("_request", "_response", "headers", "status")

    def __init__(self, response: Response, request: StreamRequest) -> None:
        self._response = response
        self._request: StreamRequest | None = request
        self.status = response.status
        self.headers: Headers = list(response.headers.items())

    async def read(self) -> bytes:
        """Return the next bytes, b"" at the end; raises `UpstreamFailed`, `UpstreamTimedOut`."""
        try:
            chunk = await self._response.body_reader.read_chunk()
        except RequestError as error:
            raise _failure(error) from error
        if chunk is None:
            self._request = None
            return b""
        return bytes(chunk)

    async def pass_on(self, meter: Meter, send: Callable[[bytes], Awaitable[None]]) -> None:
        """Feed all that comes to a meter and send what it returns, until it has finished or the answer has ended.

        This is the path of every chunk of every stream, so it calls nothing in between. Raises as `read`, and what
        `send` raises.
        """
        read, feed = self._response.body_reader.read_chunk, meter.feed
        try:
            while not meter.finished:
                chunk = await read()
                if chunk is None:
                    self._request = None
                    return
                passing = feed(bytes(chunk))
                if passing:
                    await send(passing)
        except RequestError as error:
            raise _failure(error) from error

    async def read_whole(self, most_bytes: int) -> bytes:
        """Return all bytes that are left; raises `UpstreamFailed`, also where they are more than `most_bytes`."""
        chunks = []
        total = 0
        while chunk := await self.read():
            total += len(chunk)
            if total > most_bytes:
                raise UpstreamFailed("the answer is longer than can be held back until it is settled")
            chunks.append(chunk)
        return b"".join(chunks)

    async def close(self) -> None:
        """Let go of an answer that was not read to its end, and of its connection."""
        if self._request is not None:
            with suppress(RequestError):
                await self._request.__aexit__(None, None, None)


class UpstreamClient:
    """Connections to upstreams under one set of timeouts. `decode`: compressed answers arrive decompressed.

    Both ways to send raise `UpstreamFailed`, `UpstreamTimedOut` and never repeat a request.
    """

    def __init__(self, timeouts: Timeouts, *, decode: bool) -> None:
        self._client = _build(timeouts, decode=decode)
        self._urls: dict[str, Url] = {}

    async def fetch(
        self, method: str, url: str, *, headers: Headers, body: bytes, within_ms: int | None = None
    ) -> WholeAnswer:
        """Send a request and return its answer when all of it is here: for answers that are held back anyway.

        `within_ms` takes the place of the total timeout.
        """
        builder = self._client.request(method, self._urls.get(url) or self._parse(url)).headers(headers)
        if body:
            builder = builder.body_bytes(body)
        if within_ms is not None:
            builder = builder.timeout(timedelta(milliseconds=within_ms))
        try:
            request = builder.streamed_read_buffer_limit(_SMALL_ANSWER_BYTES).build_streamed()
            response = await request.__aenter__()
            answered: Headers = list(response.headers.items())
            length = response.get_header("content-length")
            if length is not None and int(length) <= _SMALL_ANSWER_BYTES:
                return WholeAnswer(response.status, answered, bytes(await response.bytes()))
        except RequestError as error:
            raise _failure(error) from error
        except BuilderError as error:
            raise UpstreamFailed(f"the request cannot be sent: {type(error).__name__}") from error
        answer = UpstreamAnswer(response, request)
        try:
            return WholeAnswer(answer.status, answered, await answer.read_whole(MAX_USAGE_EVENT_BYTES))
        finally:
            await answer.close()

    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Headers,
        body: bytes | AsyncIterable[bytes],
        within_ms: int | None = None,
    ) -> UpstreamAnswer:
        """Send a request and return its answer when its head is here; `within_ms` as in `fetch`."""
        builder = self._client.request(method, url).headers(headers).streamed_read_buffer_limit(0)
        if not isinstance(body, bytes):
            builder = builder.body_stream(body)
        elif body:
            builder = builder.body_bytes(body)
        if within_ms is not None:
            builder = builder.timeout(timedelta(milliseconds=within_ms))
        try:
            request = builder.build_streamed()
            return UpstreamAnswer(await request.__aenter__(), request)
        except RequestError as error:
            raise _failure(error) from error
        except BuilderError as error:
            raise UpstreamFailed(f"the request cannot be sent: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close all connections."""
        with suppress(RequestError):
            await self._client.close()

    def _parse(self, url: str) -> Url:
        """Parse a URL and remember it: one is enough for all plain calls of a route."""
        if len(self._urls) >= _MOST_URLS:
            self._urls.clear()
        parsed = self._urls[url] = Url(url)
        return parsed


class UpstreamClients:
    """One client per set of timeouts, so that routes alike share connections."""

    def __init__(self) -> None:
        self._clients: dict[tuple[int, int, int, bool], UpstreamClient] = {}

    def client_for(self, timeouts: Timeouts, *, decode: bool) -> UpstreamClient:
        """Return the client, made at its first use."""
        key = (timeouts.connect_timeout_ms, timeouts.read_timeout_ms, timeouts.total_timeout_ms, decode)
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = UpstreamClient(timeouts, decode=decode)
        return client

    async def close(self) -> None:
        """Close all clients."""
        await asyncio.gather(*(client.close() for client in self._clients.values()))


def _build(timeouts: Timeouts, *, decode: bool) -> Client:
    return (
        ClientBuilder()
        .follow_redirects(enable=False)
        .referer(enable=False)
        .gzip(decode)
        .deflate(decode)
        .brotli(decode)
        .zstd(decode)
        .pool_idle_timeout(_POOL_IDLE)
        .connect_timeout(timedelta(milliseconds=timeouts.connect_timeout_ms))
        .read_timeout(timedelta(milliseconds=timeouts.read_timeout_ms))
        .timeout(timedelta(milliseconds=timeouts.total_timeout_ms))
        .build()
    )


def _failure(error: RequestError) -> UpstreamFailed:
    causes = error.details["causes"] or ()
    was_sent = all(cause["message"] != _NOT_CONNECTED for cause in causes)
    if isinstance(error, RequestTimeoutError):
        return UpstreamTimedOut(f"the upstream took too long: {type(error).__name__}", was_sent=was_sent)
    return UpstreamFailed(f"the upstream failed: {type(error).__name__}", was_sent=was_sent)
