"""An upstream that does nothing but stream chat completions at a steady pace, each chunk with the time it was sent.

    python bench/stream_upstream.py PORT CHUNKS_PER_S

A request's `max_tokens` says how many chunks its answer has. The time is the machine's steady clock in nanoseconds, in
20 digits, as a chunk's content: whoever reads the chunk on this machine knows how long it was on its way.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from typing import Final, cast

import uvloop

HOST: Final = "127.0.0.1"

_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKS: Final = re.compile(rb'"max_tokens": *(\d+)')
_BEGUN: Final = b'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1,"model":"faregate-demo",'
_CONTENT: Final = _BEGUN + b'"choices":[{"index":0,"delta":{"content":"%020d"},"finish_reason":null}]}\n\n'
_STOP: Final = _BEGUN + b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
_USAGE: Final = _BEGUN + b'"choices":[],"usage":{"prompt_tokens":15,"completion_tokens":%d,"total_tokens":%d}}\n\n'
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_HEALTHY: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_PROMPT_TOKENS: Final = 15


class Answering(asyncio.Protocol):
    """One connection: a request at a time, and its stream in step with `interval_s`."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Begin the stream once the whole request is here."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        wanted = int(length[1]) if length else 0
        if not found or len(body) < wanted:
            return
        self._received = body[wanted:]
        if head.startswith(b"GET "):
            self._transport.write(_HEALTHY)
            return
        asked = _CHUNKS.search(body)
        self._chunks = int(asked[1]) if asked else 1
        self._wants_usage = b'"include_usage":true' in body
        self._sent = 0
        self._begun_s = self._loop.time()
        self._transport.write(_HEAD)
        self._send()

    def _send(self) -> None:
        if self._sent == self._chunks:
            self._end()
            return
        self._sent += 1
        # By the clock, not by the last chunk: one that was late does not delay those after it.
        self._timer = self._loop.call_at(self._begun_s + self._sent * self._interval_s, self._send)
        self._transport.write(_framed(_CONTENT % time.monotonic_ns()))

    def _end(self) -> None:
        usage = _USAGE % (self._chunks, _PROMPT_TOKENS + self._chunks) if self._wants_usage else b""
        self._transport.write(_framed(_STOP + usage + b"data: [DONE]\n\n") + b"0\r\n\r\n")


def _framed(events: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(events), events)


async def main(port: int, chunks_per_s: float) -> None:
    """Serve until SIGINT or SIGTERM."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(1 / chunks_per_s), HOST, port, backlog=1024)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    print(f"ready http://{HOST}:{port}", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
