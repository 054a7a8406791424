"""Runs the demo upstream inside an event loop: for tests, for `faregate demo`, and for this package's own process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from faregate.apps.upstream.app import DemoUpstream
from faregate.apps.upstream.call_log import open_call_log
from faregate.base.clock import Clock, SystemClock
from faregate.base.errors import ConfigurationError, Unavailable

HOST: Final = "127.0.0.1"
"""The demo upstream asks for no key, so it is reached from this machine alone."""

_BACKLOG: Final = 1_024
_READY_WITHIN_S: Final = 5.0
_STOP_WITHIN_S: Final = 5.0
_POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningUpstream:
    """A demo upstream that answers; `origin` is such as `http://127.0.0.1:9801`, without a path."""

    port: int
    origin: str


@asynccontextmanager
async def running_upstream(
    *, port: int = 0, log_path: Path | None = None, clock: Clock | None = None
) -> AsyncIterator[RunningUpstream]:
    """Run the demo upstream on `port` of the loopback address (0: a free one) while the context lasts.

    On leaving, calls that are paused are cut off and all others are answered.

    Raises:
        ConfigurationError: The port is taken, not ours to use, or no port.
        Unavailable: The server did not start to listen within 5 seconds.
        OSError: The log cannot be opened.
    """
    clock = clock or SystemClock()
    port = _claim_port(port)
    with open_call_log(log_path, clock) as log:
        stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        server = _server(DemoUpstream(clock=clock, log=log, closing=stopping), port)
        serving = asyncio.create_task(server.serve())
        try:
            await _listening(port, serving)
            yield RunningUpstream(port=port, origin=f"http://{HOST}:{port}")
        finally:
            stopping.set_result(None)
            server.stop()  # type: ignore[no-untyped-call]  # granian's embedded server is only partly annotated
            await asyncio.wait_for(serving, _STOP_WITHIN_S)


def _server(app: DemoUpstream, port: int) -> Server:
    return Server(
        app,
        address=HOST,
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_BACKLOG,
        log_level=LogLevels.error,
    )


def _claim_port(port: int) -> int:
    """Return a port nobody listens on: granian would share a taken one with its owner in silence."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(f"port {port} of {HOST} cannot be used: {error}") from error
        claimed: int = probe.getsockname()[1]
        return claimed


async def _listening(port: int, serving: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + _READY_WITHIN_S
    while loop.time() < deadline_s and not serving.done():
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(_POLL_S)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise Unavailable(f"the demo upstream did not start to listen on port {port}")
