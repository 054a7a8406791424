"""A bare pass-through on the gateway's own server and client libraries: what proxying costs before anything is decided.

    python bench/passthrough.py PORT UPSTREAM_URL

It copies method, path, headers, body and answer, streams what is streamed, and does nothing else: no keys, no rules, no
metering, no log. `bench/run` measures the gateway against it.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.rsgi import HTTPProtocol, Scope
from granian.server.embed import Server
from pyreqwest.client import Client, ClientBuilder

HOP_BY_HOP = frozenset(
    ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)
SMALL_ANSWER_BYTES = 65_536


class Passthrough:
    """One RSGI application, one client, one upstream."""

    def __init__(self, client: Client, upstream_url: str) -> None:
        self._client = client
        self._upstream_url = upstream_url

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        body = await protocol()
        headers = [pair for pair in scope.headers.items() if pair[0] not in HOP_BY_HOP]
        url = self._upstream_url + scope.path
        if scope.query_string:
            url = f"{url}?{scope.query_string}"
        builder = self._client.request(scope.method, url).headers(headers)
        if body:
            builder = builder.body_bytes(body)
        async with builder.streamed_read_buffer_limit(0).build_streamed() as response:
            answered = [pair for pair in response.headers.items() if pair[0] not in HOP_BY_HOP]
            length = response.get_header("content-length")
            if length is not None and int(length) <= SMALL_ANSWER_BYTES:
                protocol.response_bytes(response.status, answered, bytes(await response.bytes()))
                return
            transport = protocol.response_stream(response.status, answered)
            reader = response.body_reader
            while (chunk := await reader.read_chunk()) is not None:
                await transport.send_bytes(bytes(chunk))


async def main(port: int, upstream_url: str) -> None:
    """Serve until SIGINT or SIGTERM."""
    client = ClientBuilder().follow_redirects(enable=False).gzip(enable=False).build()
    server = Server(
        Passthrough(client, upstream_url),
        port=port,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        websockets=False,
        backlog=1024,
        backpressure=1024,
        log_enabled=False,
    )
    serving = asyncio.create_task(server.serve())
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"ready http://127.0.0.1:{port} -> {upstream_url}", flush=True)
    await stop.wait()
    server.stop()  # type: ignore[no-untyped-call]  # granian's embedded server is only partly annotated
    await serving
    await client.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2].rstrip("/")))
