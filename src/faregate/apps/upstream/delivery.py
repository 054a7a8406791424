"""An answer's way out: JSON, stream or error, at the pace and with the faults asked for, recorded as it goes.

The server library takes bytes without waiting for the network, so "handed over" is what can be known here: a client
that leaves is seen at the next pause, and a short answer without pauses may be recorded whole although it has left.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from granian.rsgi import HTTPProtocol, ProtocolClosed

from faregate.apps.upstream.call_log import CallLog, Phase
from faregate.apps.upstream.connections import cut_connection
from faregate.apps.upstream.directions import Directions
from faregate.apps.upstream.reply import Reply

_FLUSH_S: Final = 0.05
"""What was handed over is written by the server library's own thread; it has this long before a cut."""

_MILLISECONDS: Final = 1_000
_JSON: Final = ("content-type", "application/json")
_EVENTS: Final = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))


class Delivery:
    """One call's way out; exactly one of its `send_...` methods is called.

    `peer` is the caller's `address:port`. `closing` is done once the upstream stops: what is paused then is cut off.
    """

    def __init__(
        self,
        protocol: HTTPProtocol,
        *,
        request_id: str,
        peer: str,
        log: CallLog,
        closing: asyncio.Future[None],
    ) -> None:
        self._protocol = protocol
        self._request_id = request_id
        self._peer = peer
        self._log = log
        self._closing = closing
        self._gone: asyncio.Future[None] | None = None
        self._status: int = HTTPStatus.OK
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._chunks = 0
        self._ended = False

    async def send_error(self, status: int, body: bytes, *, delay_ms: int = 0) -> None:
        """Answer with an error, after `delay_ms`."""
        self._status = status
        self._record("begun")
        if delay_ms and not await self._goes_on_after(delay_ms):
            await self._abort()
            return
        self._record("completed")
        self._protocol.response_bytes(status, self._headers(_JSON), body)

    async def send_json(self, whole: Reply, directions: Directions) -> None:
        """Answer with one JSON body."""
        self._prompt_tokens = whole.prompt_tokens
        self._record("begun")
        body = whole.body()
        if directions.first_token_ms and not await self._goes_on_after(directions.first_token_ms):
            await self._abort()
            return
        if directions.break_after_chunks is not None:
            promised = ("content-length", str(len(body)))
            transport = self._protocol.response_stream(HTTPStatus.OK, self._headers(_JSON, promised))
            await transport.send_bytes(body[: len(body) // 2])
            await self._abort()
            return
        self._completion_tokens = whole.completion_tokens
        self._record("completed")
        self._protocol.response_bytes(HTTPStatus.OK, self._headers(_JSON), body)

    async def send_stream(self, whole: Reply, directions: Directions) -> None:
        """Answer with server-sent events."""
        self._prompt_tokens = whole.prompt_tokens
        self._record("begun")
        try:
            await self._send_events(whole, directions)
        except ProtocolClosed:  # the caller left between two looks at the connection
            if not self._ended:
                self._record("aborted")

    async def _send_events(self, whole: Reply, directions: Directions) -> None:
        transport = self._protocol.response_stream(HTTPStatus.OK, self._headers(*_EVENTS))
        delay_ms = directions.first_token_ms
        for event in whole.events():
            if self._chunks == directions.break_after_chunks or not await self._goes_on_after(delay_ms):
                await self._abort()
                return
            if self._chunks == directions.fail_after_chunks:
                self._record("aborted")
                await transport.send_bytes(whole.failure())
                return
            await transport.send_bytes(event.text)
            self._chunks += 1
            self._completion_tokens += event.tokens
            delay_ms = directions.token_ms
        if self._chunks == directions.break_after_chunks or not await self._goes_on_after(0):
            await self._abort()
            return
        last = whole.last()
        self._record("completed")
        await transport.send_bytes(last)

    async def _goes_on_after(self, delay_ms: int) -> bool:
        if self._gone is None:
            self._gone = asyncio.ensure_future(self._protocol.client_disconnect())
        if delay_ms:
            await asyncio.wait(
                {self._gone, self._closing},
                timeout=delay_ms / _MILLISECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        return not (self._gone.done() or self._closing.done())

    async def _abort(self) -> None:
        self._record("aborted")
        if self._gone is None or not self._gone.done():
            await asyncio.sleep(_FLUSH_S)
            cut_connection(self._peer)

    def _record(self, phase: Phase) -> None:
        self._ended = phase != "begun"
        self._log.append(
            self._request_id,
            phase,
            status=self._status,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            chunks=self._chunks,
        )

    def _headers(self, *first: tuple[str, str]) -> list[tuple[str, str]]:
        return [*first, ("x-request-id", self._request_id)]
