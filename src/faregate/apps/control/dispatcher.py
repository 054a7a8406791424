"""One ASGI application for one port: hot routes by a look-up, `/api` to the management API, the rest to the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog

from faregate.apps.control.asgi import (
    Answer,
    Disconnected,
    Message,
    Receive,
    Request,
    Scope,
    Send,
    read_body,
    send_answer,
    to_request,
)
from faregate.apps.control.counters import Counters
from faregate.apps.control.gateway_link import GatewayLink, stated_follower
from faregate.apps.control.problems import error_answer, fault_answer, method_answer, nothing_here, stopping_answer
from faregate.apps.control.sandbox_link import SANDBOX_PREFIXES
from faregate.apps.control.state_feed import Follower, StateFeed
from faregate.base.errors import FaregateError, TooLarge
from faregate.base.limits import MAX_API_BODY_BYTES

_log: Final = structlog.stdlib.get_logger()

Handler = Callable[[Request], Awaitable[Answer]]
Application = Callable[..., Awaitable[None]]
Routes = Mapping[str, Mapping[str, Handler]]
"""Path -> method -> handler."""

_STATE_PATH: Final = "/gateway/v1/state"
_OF_MACHINES: Final = ("/gateway/", "/v1/", "/webhooks/", *SANDBOX_PREFIXES)
"""Under these no page is: an unknown path there is answered as programs read it."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_GATEWAYS_WITHIN_S: Final = 0.25
"""How long a change's answer waits for gateways that are connected and slow."""

_NDJSON: Final = b"application/x-ndjson"


class Dispatcher:
    """Counts every request, turns errors into problem documents, and knows when nothing is in flight any more."""

    def __init__(
        self,
        *,
        routes: Routes,
        api: Application,
        web: Application,
        sandbox: Handler,
        link: GatewayLink,
        feed: StateFeed,
        counters: Counters,
    ) -> None:
        self._routes = routes
        self._api = api
        self._web = web
        self._sandbox = sandbox
        self._link = link
        self._feed = feed
        self._counters = counters
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        self._in_flight += 1
        self._idle.clear()
        try:
            await self._serve(scope, receive, send)
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._idle.set()

    async def stop(self, within_s: float) -> bool:
        """Refuse new requests, end the streams and wait for the rest; return whether all ended within the time."""
        self._stopping = True
        await self._feed.close()
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if self._stopping:
            await self._finish(path, stopping_answer(), send)
        elif path == "/api" or path.startswith("/api/"):
            await self._hand_over(self._api, scope, receive=receive, send=send)
        elif path == _STATE_PATH and scope["method"] == "GET":
            await self._stream_state(to_request(scope, receive), send)
        elif path == _STATE_PATH:
            await self._finish(path, method_answer(scope["method"], ["GET"]), send)
        elif path in self._routes or path.startswith(_OF_MACHINES):
            await self._answer(to_request(scope, receive), send)
        else:
            await self._hand_over(self._web, scope, receive=receive, send=send)

    async def _hand_over(self, application: Application, scope: Scope, *, receive: Receive, send: Send) -> None:
        """Hand over to the API or the pages; a body too large for them is read here, so that the refusal is seen."""
        request = to_request(scope, receive)
        stated = request.header(b"content-length")
        if not stated.isdecimal() or int(stated) <= MAX_API_BODY_BYTES:
            counting = self._counting(request.path, send)
            await application(
                scope, receive, counting if request.method in _READING else self._after_gateways(counting)
            )
            return
        try:
            await read_body(request, MAX_API_BODY_BYTES)
        except TooLarge as error:
            await self._finish(request.path, error_answer(error), send)
        except Disconnected:
            return

    async def _answer(self, request: Request, send: Send) -> None:
        try:
            answer = await self._handle(request)
        except Disconnected:
            return
        await self._finish(request.path, answer, send)

    async def _handle(self, request: Request) -> Answer:
        handlers = self._routes.get(request.path)
        if handlers is None and request.path.startswith(SANDBOX_PREFIXES):
            return await _guarded(self._sandbox, request)
        if handlers is None:
            return nothing_here(request.path)
        handler = handlers.get(request.method)
        if handler is None:
            return method_answer(request.method, handlers)
        return await _guarded(handler, request)

    async def _stream_state(self, request: Request, send: Send) -> None:
        try:
            self._link.authorize(request)
            follower = stated_follower(request)
        except FaregateError as error:
            await self._finish(request.path, error_answer(error), send)
            return
        self._count(request.path, HTTPStatus.OK)
        headers = [(b"content-type", _NDJSON), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": headers})
        sending = asyncio.create_task(self._send_state(follower, send))
        leaving = asyncio.create_task(_disconnected(request.receive))
        await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, leaving):
            task.cancel()
        sent, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(sent, Exception):
            _log.error("state.stream_failed", exc_info=sent)

    async def _send_state(self, follower: Follower, send: Send) -> None:
        async for chunk in self._feed.stream(follower):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _finish(self, path: str, answer: Answer, send: Send) -> None:
        self._count(path, answer.status)
        await send_answer(answer, send)

    def _counting(self, path: str, send: Send) -> Send:
        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count(path, message["status"])
            await send(message)

        return forward

    def _after_gateways(self, send: Send) -> Send:
        """Hold a change's answer back, for a bounded time, until connected gateways decide by the change."""

        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] < HTTPStatus.BAD_REQUEST:
                await self._feed.reach_gateways(_GATEWAYS_WITHIN_S)
            await send(message)

        return forward

    def _count(self, path: str, status: int) -> None:
        area = path.split("/", 2)[1]
        self._counters.requests[area if area in _AREAS else "other", int(status)] += 1


_AREAS: Final = frozenset({"api", "gateway", "healthz", "metrics", "readyz", "v1", "webhooks"})


async def _guarded(handler: Handler, request: Request) -> Answer:
    try:
        return await handler(request)
    except FaregateError as error:
        return error_answer(error)
    except Disconnected:
        raise
    except Exception:  # noqa: BLE001 - the log says more than the caller may know
        _log.exception("request.failed", path=request.path, method=request.method)
        return fault_answer()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
