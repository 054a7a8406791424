"""A gateway beside a fake control plane, in the test's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from pyreqwest.client import Client, ClientBuilder

from faregate.apps.gateway.control_plane import ControlPlane as PlaneClient
from faregate.apps.gateway.main import serve_gateway
from faregate.apps.gateway.rates import Rates
from faregate.apps.gateway.settings import GatewaySettings
from faregate.apps.gateway.state import GatewayState
from faregate.base.clock import SystemClock
from tests.gateway.control_plane import TOKEN, ControlPlane, free_port, serving

KEY = {"authorization": "Bearer key-1"}
ASK = {"model": "demo", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 100}


@dataclass
class Answer:
    """What a caller got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        return msgspec.json.decode(self.body, type=dict[str, object])

    @property
    def error(self) -> dict[str, object]:
        return msgspec.convert(self.json["error"], dict[str, object])


@dataclass
class Running:
    """A gateway that answers at `origin`, and what it talks to."""

    origin: str
    port: int
    plane: ControlPlane
    client: Client
    settings: GatewaySettings

    async def call(
        self,
        body: object = None,
        *,
        path: str = "/ai/chat",
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        request = self.client.request(method, self.origin + path).headers(KEY if headers is None else headers)
        if body is not None:
            request = request.body_bytes(body if isinstance(body, bytes) else msgspec.json.encode(body))
        response = await request.build().send()
        return Answer(response.status, dict(response.headers), bytes(await response.bytes()))

    async def call_until(self, status: int, body: object = ASK) -> Answer:
        """Call again and again, until an answer has that status."""
        async with asyncio.timeout(20):
            while (answer := await self.call(body)).status != status:  # noqa: ASYNC110 - no event says so
                await asyncio.sleep(0.01)
        return answer

    async def begin(self, body: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a call by a raw socket, whose answer the test reads itself, or leaves."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        sent = msgspec.json.encode(body)
        head = (
            f"POST /ai/chat HTTP/1.1\r\nhost: a\r\nauthorization: Bearer key-1\r\ncontent-length: {len(sent)}\r\n\r\n"
        )
        writer.write(head.encode() + sent)
        await writer.drain()
        return reader, writer

    async def metric(self, name: str) -> float:
        text = (await self.call(path="/metrics", method="GET")).body.decode()
        return float(next(line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)))


async def until(holds: Callable[[], object], *, within_s: float = 5.0) -> None:
    """Wait for what a test has no event for."""
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - that is what this is for
            await asyncio.sleep(0.002)


def run(scenario: Coroutine[object, object, None]) -> None:
    asyncio.run(scenario)


def settings_for(folder: Path, control_plane_url: str, port: int, **changes: object) -> GatewaySettings:
    fields: dict[str, object] = {
        "control_plane_url": control_plane_url,
        "gateway_token": TOKEN,
        "spool_folder": folder,
        "port": port,
        "environment": {"UPSTREAM_KEY": "sk-upstream"},
        "segment_bytes": 1 << 20,
        "stop_within_s": 2.0,
    }
    return GatewaySettings(**(fields | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def gateway(
    folder: Path, plane: ControlPlane, *, plane_url: str | None = None, **changes: object
) -> AsyncIterator[Running]:
    """Run a gateway against `plane`, served here unless `plane_url` says where it is; ready when this yields."""
    if plane_url is None:
        async with serving(plane) as url, gateway(folder, plane, plane_url=url, **changes) as running:
            yield running
        return
    port = free_port()
    settings = settings_for(folder, plane_url, port, **changes)
    stop = asyncio.Event()
    task = asyncio.create_task(serve_gateway(settings, stop))
    client = ClientBuilder().follow_redirects(enable=False).no_proxy().gzip(enable=False).build()
    running = Running(f"http://127.0.0.1:{port}", port, plane, client, settings)
    try:
        await ready(running, task)
        yield running
    finally:
        stop.set()
        await asyncio.wait([task], timeout=10)
        await client.close()
        task.result()


def a_state() -> GatewayState:
    """A gateway's state without a gateway."""
    rates = Rates(PlaneClient("http://127.0.0.1:1", TOKEN), identity=lambda: None, clock=SystemClock())
    return GatewayState({"UPSTREAM_KEY": "x"}, rates)


async def ready(running: Running, task: asyncio.Task[None] | None = None) -> None:
    for _ in range(500):
        if task is not None and task.done():
            task.result()
        try:
            if (await running.call(path="/readyz", method="GET")).status == 200:
                return
        except OSError:
            pass
        except Exception as error:
            if "Connect" not in type(error).__name__:
                raise
        await asyncio.sleep(0.01)
    raise AssertionError("the gateway did not become ready")
