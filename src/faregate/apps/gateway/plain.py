"""Calls whose usage is not read: both bodies are streamed, nothing is held, and an event says what took place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote

from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope

from faregate.apps.gateway.call import Call, answer_headers, request_headers
from faregate.apps.gateway.headers import header
from faregate.apps.gateway.plan import RoutePlan
from faregate.apps.gateway.settlement import Settlement
from faregate.apps.gateway.upstream_client import UpstreamAnswer, UpstreamClients, UpstreamFailed

_PATH_SAFE: Final = "/:@!$&'()*+,;=-._~"


class PlainCalls:
    """Calls that pass through."""

    def __init__(self, *, settlement: Settlement, clients: UpstreamClients) -> None:
        self._settlement = settlement
        self._clients = clients

    async def answer(self, call: Call) -> None:
        """Forward the call as it is; raises `Refusal` where the upstream fails before its answer's head."""
        route, named = call.plan.route, call.named
        has_body = named.get("content-length") not in {None, "0"} or named.get("transfer-encoding")
        try:
            answer = await self._clients.client_for(route.state, decode=False).stream(
                call.verb,
                target_url(route, call.rest, call.scope),
                headers=request_headers(call, route.dropped_headers, route.upstream_headers),
                body=_stream_body(call.protocol) if has_body else b"",
            )
        except (UpstreamFailed, asyncio.CancelledError) as error:
            raise self._settlement.fail(call, error) from error
        try:
            await self._pass_on(call, answer)
        finally:
            self._settlement.settle(call, answer.status)
            await answer.close()

    async def _pass_on(self, call: Call, answer: UpstreamAnswer) -> None:
        protocol = call.protocol
        headers = answer_headers(call, answer.headers)
        length = header(answer.headers, "content-length")
        if length is not None:
            headers.append(("content-length", length))
        if call.verb == "HEAD" or length == "0" or answer.status in {204, 304}:
            self._settlement.settle(call, answer.status)
            protocol.response_empty(answer.status, headers)
            return
        transport = protocol.response_stream(answer.status, headers)
        left = int(length) if length is not None else None
        try:
            while chunk := await answer.read():
                if left is not None:
                    left -= len(chunk)
                    if left <= 0:
                        self._settlement.settle(call, answer.status)
                await transport.send_bytes(chunk)
        except (ProtocolClosed, UpstreamFailed, asyncio.CancelledError):
            # A known length tells the caller that the answer is short; the event says that the call took place.
            return


def target_url(route: RoutePlan, rest: str, scope: Scope) -> str:
    """Return the upstream's URL for what followed the route's name, with the query as it came."""
    url = url_below(route, rest)
    return f"{url}?{scope.query_string}" if scope.query_string else url


def url_below(route: RoutePlan, rest: str) -> str:
    """Return the upstream's URL for a path below it, quoted as a URL must be."""
    return route.upstream_url + (
        rest if rest.isascii() and rest.replace("/", "").isalnum() else quote(rest, safe=_PATH_SAFE)
    )


async def _stream_body(protocol: HTTPProtocol) -> AsyncIterator[bytes]:
    """Yield the body as it arrives."""
    async for chunk in protocol:
        yield chunk
