"""Sends a trace's calls through the gateway: a bounded number at a time, each once, half of them as streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from http import HTTPStatus
from typing import Final

import msgspec
from pyreqwest.client import Client
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import Response

from faregate.apps.story.chat import MODEL, PATH, Tokens, directions
from faregate.apps.story.ending import stay_cancelled
from faregate.apps.story.replaying.pace import Speed, due_times
from faregate.apps.story.trace import TracedCall

_DONE: Final = b"data: [DONE]\n\n"
_NANOSECONDS: Final = 1_000_000
_SHOWN_BODY_BYTES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A call that was not answered as it should be: its row in the file, and what came."""

    row: int
    what: str


@dataclass(slots=True, kw_only=True)
class Sent:
    """What came of the calls so far. Times count from before the request; `seconds` is the time spent sending."""

    answered: int = 0
    streams: int = 0
    failures: list[Failure] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0


class Sender:
    """One customer's program that replays calls; `sent` adds up over all `send`s."""

    def __init__(
        self, client: Client, *, gateway: str, key: str, concurrency: int, progressed: Callable[[], None]
    ) -> None:
        self._client = client
        self._url = gateway + PATH
        self._concurrency = concurrency
        self._progressed = progressed
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._bodies = {stream: _body(stream=stream) for stream in (False, True)}
        self.sent = Sent()

    async def send(self, calls: Sequence[TracedCall], speed: Speed) -> None:
        """Send calls in the order given, each when it is due; return when all are answered or have failed."""
        started_s = time.monotonic()
        queue = zip(calls, due_times(calls, speed), strict=True)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._concurrency, len(calls))):
                group.create_task(self._work(queue, started_s))
        self.sent.seconds += time.monotonic() - started_s

    async def _work(self, queue: Iterator[tuple[TracedCall, float]], started_s: float) -> None:
        for call, due_s in queue:
            wait_s = started_s + due_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._send_one(call)
            stay_cancelled()
            self._progressed()

    async def _send_one(self, call: TracedCall) -> None:
        stream = is_streamed(call)
        headers = {
            **self._headers,
            **directions(Tokens(prompt=call.context_tokens, completion=call.generated_tokens)),
            "x-faregate-occurred-at": call.occurred_at.astimezone(UTC).isoformat(),
        }
        builder = self._client.post(self._url).headers(headers).body_bytes(self._bodies[stream])
        started_ns = time.perf_counter_ns()
        try:
            async with builder.streamed_read_buffer_limit(0).build_streamed() as response:
                failed = await self._read(response, started_ns, stream=stream)
        except PyreqwestError as error:
            failed = error.message
        if failed is not None:
            self.sent.failures.append(Failure(row=call.row, what=failed))

    async def _read(self, response: Response, started_ns: int, *, stream: bool) -> str | None:
        """Read an answer to its end; return what is wrong with it, None where nothing is."""
        first_ms = _since_ms(started_ns)
        if response.status != HTTPStatus.OK:
            body = bytes(await response.bytes())[:_SHOWN_BODY_BYTES].decode(errors="replace")
            return f"{response.status} {body}"
        if stream:
            last = b""
            reader = response.body_reader
            while (chunk := await reader.read_chunk()) is not None:
                first_ms = first_ms if last else _since_ms(started_ns)
                last = (last + bytes(chunk))[-len(_DONE) :]
            if last != _DONE:
                return "the stream ended before its [DONE]"
        else:
            await response.bytes()
        self.sent.answered += 1
        self.sent.streams += stream
        self.sent.first_ms.append(first_ms)
        self.sent.whole_ms.append(_since_ms(started_ns))
        return None


def is_streamed(call: TracedCall) -> bool:
    """Return whether a call asks for a stream: those of even rows do."""
    return call.row % 2 == 0


def _body(*, stream: bool) -> bytes:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "A call of a replayed trace."}]}
    return msgspec.json.encode(asked | {"stream": True} if stream else asked)


def _since_ms(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / _NANOSECONDS
