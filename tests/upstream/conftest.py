import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from openai import OpenAI

from faregate.apps.upstream.call_log import CallLine, read_call_log
from faregate.apps.upstream.serving import RunningUpstream, running_upstream
from faregate.base.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A demo upstream that runs in a thread of the test process."""

    origin: str
    log_path: Path

    def connection(self) -> HTTPConnection:
        parts = urlsplit(self.origin)
        assert parts.hostname is not None
        return HTTPConnection(parts.hostname, parts.port, timeout=20)

    def lines_of(self, request_id: str) -> list[CallLine]:
        return [line for line in read_call_log(self.log_path) if line.request_id == request_id]


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    log_path = tmp_path_factory.mktemp("upstream") / "calls.jsonl"
    started = threading.Event()
    running: list[RunningUpstream] = []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        async with running_upstream(log_path=log_path) as upstream:
            running.append(upstream)
            stop.append((asyncio.get_running_loop(), asyncio.Event()))
            started.set()
            await stop[0][1].wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    assert started.wait(timeout=10)
    yield Upstream(origin=running[0].origin, log_path=log_path)
    loop, event = stop[0]
    loop.call_soon_threadsafe(event.set)
    thread.join(timeout=20)
    assert not thread.is_alive()


@pytest.fixture
def client(upstream: Upstream) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{upstream.origin}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def request_id() -> str:
    return new_id("req")


def chat(*, stream: bool = False, **fields: object) -> dict[str, object]:
    """A chat request's body; only the fields that matter to the test are named."""
    asked = {"model": "faregate-demo", "messages": [{"role": "user", "content": "Where is the cat?"}]}
    return asked | ({"stream": True} if stream else {}) | fields


def post(
    connection: HTTPConnection, body: object, headers: Mapping[str, str] | None = None, *, path: str = "/v1"
) -> HTTPResponse:
    """Send a chat request; a body of bytes goes out as it is."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("POST", f"{path}/chat/completions", payload, dict(headers or {}))
    return connection.getresponse()
