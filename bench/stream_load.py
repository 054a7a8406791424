"""The load of the streaming bench: many streams at once, and how long each chunk was on its way."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from typing import Final, cast

import uvloop
from msgspec import Struct

from bench.children import HOST, BenchError
from bench.paced import http_request

_SENT_AT: Final = re.compile(rb'"content":"(\d{20})"')
_OK: Final = b"HTTP/1.1 200 "
_DONE: Final = b"data: [DONE]"
_END: Final = b"0\r\n\r\n"
_SPREAD_S: Final = 1.0
_SLACK_S: Final = 30.0
_SHOWN_BYTES: Final = 500
_NANOSECONDS_PER_MS: Final = 1_000_000


class StreamLoad(Struct, frozen=True, kw_only=True):
    """So many streams at once, each of `chunks` chunks, `chunks_per_s` of them each second."""

    port: int
    path: str
    body: bytes
    key: str
    streams: int
    chunks: int
    chunks_per_s: float


def run_load(load: StreamLoad) -> list[float]:
    """Return each chunk's delay in milliseconds, from its sending to its arrival; `BenchError` where one is missing."""
    return uvloop.run(_run(load))


class _Reading(asyncio.Protocol):
    """One stream, from its request to its end. `ended` is given what is wrong with it, None for nothing."""

    def __init__(self, load: StreamLoad, delays_ms: list[float], ended: asyncio.Future[str | None]) -> None:
        self._load = load
        self._delays_ms = delays_ms
        self._ended = ended
        self._head = b""
        self._rest = b""
        self._chunks = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        load = self._load
        self._transport.write(http_request(load.path, load.port, key=load.key, body=load.body))

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        self._head = self._head or data[:_SHOWN_BYTES]
        text = self._rest + data
        read = 0
        for found in _SENT_AT.finditer(text):
            self._delays_ms.append((now_ns - int(found[1])) / _NANOSECONDS_PER_MS)
            self._chunks += 1
            read = found.end()
        self._rest = text[read:]
        if self._rest.endswith(_END):
            self._transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(self._fault())

    def _fault(self) -> str | None:
        if not self._head.startswith(_OK):
            return f"a stream was answered {self._head.decode(errors='replace')!r}"
        if self._chunks != self._load.chunks or _DONE not in self._rest:
            return f"a stream had {self._chunks} chunks of {self._load.chunks}, and ended in {self._rest[-60:]!r}"
        return None


async def _run(load: StreamLoad) -> list[float]:
    loop = asyncio.get_running_loop()
    delays_ms: list[float] = []
    endings = [loop.create_future() for _ in range(load.streams)]
    gc.collect()
    gc.disable()  # the pauses measured are to be those of others
    try:
        async with asyncio.timeout(_SPREAD_S + load.chunks / load.chunks_per_s + _SLACK_S):
            for number, ended in enumerate(endings):
                # Evenly over a second, and over the time between two chunks, so that no two streams beat together.
                loop.call_later(_start_s(number, load), _open, load, delays_ms, ended)
            faults = await asyncio.gather(*endings)
    except TimeoutError:
        raise BenchError(f"{sum(not ended.done() for ended in endings)} streams did not end in time") from None
    finally:
        gc.enable()
    fault = next((found for found in faults if found is not None), None)
    if fault is not None:
        raise BenchError(f"{sum(found is not None for found in faults)} of {load.streams} streams failed; {fault}")
    return delays_ms


def _start_s(number: int, load: StreamLoad) -> float:
    return number * (_SPREAD_S + 1 / load.chunks_per_s) / load.streams


def _open(load: StreamLoad, delays_ms: list[float], ended: asyncio.Future[str | None]) -> None:
    loop = ended.get_loop()
    connecting = loop.create_task(loop.create_connection(lambda: _Reading(load, delays_ms, ended), HOST, load.port))
    connecting.add_done_callback(lambda done: _note_failure(done, ended))


def _note_failure(connecting: asyncio.Task[object], ended: asyncio.Future[str | None]) -> None:
    if not connecting.cancelled() and connecting.exception() is not None and not ended.done():
        ended.set_result(f"no connection: {connecting.exception()}")
