"""Listening: granian's embedded server inside our event loop, on a port that is ours alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from faregate.apps.control.dispatcher import Dispatcher
from faregate.apps.ports import reachable
from faregate.base.errors import Unavailable

_BACKLOG: Final = 1_024
_READY_WITHIN_S: Final = 5.0
_STOP_WITHIN_S: Final = 5.0
_POLL_S: Final = 0.01


@asynccontextmanager
async def listening(application: Dispatcher, *, host: str, port: int) -> AsyncIterator[None]:
    """Answer on host and port while the context lasts; on leaving, running requests are answered first."""
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_BACKLOG,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    try:
        await _answering(host, port, serving)
        yield
    finally:
        await application.stop(_STOP_WITHIN_S)
        server.stop()  # type: ignore[no-untyped-call]  # granian's embedded server is only partly annotated
        await asyncio.wait_for(serving, _STOP_WITHIN_S)


async def _answering(host: str, port: int, serving: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _READY_WITHIN_S
    while loop.time() < deadline_s and not serving.done():
        try:
            _, writer = await asyncio.open_connection(reachable(host), port)
        except OSError:
            await asyncio.sleep(_POLL_S)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise Unavailable(f"the control plane did not start to listen on port {port} of {host}")
