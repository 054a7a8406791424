"""Caller and upstream of a stream that breaks off, on real sockets, in one event loop.

Who breaks off waits until the other side has what came before, so that every case says what is owed for it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from bench.aborts.cases import BEFORE_THE_HEAD, Case, Side, Way
from bench.children import HOST

CASE_HEADER: Final = "x-abort-case"
_WITHIN_S: Final = 20.0
_PAUSE_S: Final = 0.002
_READ_BYTES: Final = 65_536
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_RESET: Final = struct.pack("ii", 1, 0)
_MOST_AT_ONCE: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a case is played: a path of the gateway, and a key."""

    path: str
    key: str


@dataclass(eq=False)
class Play:
    """A case that is played. `request_ids`: what the upstream was asked under; `body`: what the caller got of it."""

    case: Case
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    broken: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    request_ids: list[str] = field(default_factory=list)
    body: bytes = b""
    faults: list[str] = field(default_factory=list)


class Stage:
    """The upstream of all cases, and their callers. `origin`: where the upstream answers."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.plays = {case.number: Play(case) for case in cases}
        self.origin = ""

    async def play(self, gateway_port: int, target: Callable[[Case], Target]) -> list[Play]:
        """Play all cases, many at a time."""
        room = asyncio.Semaphore(_MOST_AT_ONCE)

        async def one(play: Play) -> None:
            async with room:
                try:
                    async with asyncio.timeout(_WITHIN_S):
                        await _call(play, gateway_port, target(play.case))
                        await play.answered.wait()
                except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
                    play.faults.append(f"the caller's side failed: {error!r}")

        await asyncio.gather(*(one(play) for play in self.plays.values()))
        return list(self.plays.values())

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection of the gateway."""
        try:
            while (request := await _read_request(reader)) is not None:
                play = self.plays[int(request[CASE_HEADER])]
                play.request_ids.append(request["x-request-id"])
                play.asked.set()
                try:
                    async with asyncio.timeout(_WITHIN_S):
                        if not await _answer(play, reader, writer):
                            return
                except TimeoutError:
                    play.faults.append("the upstream waited in vain")
                    return
                finally:
                    play.answered.set()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def staged(cases: Sequence[Case]) -> AsyncIterator[Stage]:
    """Yield a stage whose upstream answers."""
    stage = Stage(cases)
    server = await asyncio.start_server(stage.answer, HOST, 0)
    stage.origin = f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    try:
        yield stage
    finally:
        server.close()


async def _answer(play: Play, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Send the answer up to the case's place, wait, go on as the case says; return whether the connection stays."""
    case, stream = play.case, play.case.speech.stream
    if case.place != BEFORE_THE_HEAD:
        writer.write(_HEAD + _chunk(stream[: case.place]))
        await writer.drain()
    await play.broken.wait()
    if case.side is Side.UPSTREAM:
        if case.way is Way.RESET:
            _reset(writer)
        return False
    if case.place == BEFORE_THE_HEAD:
        writer.write(_HEAD)
        await writer.drain()
    if not case.drains:
        # Silence: that the caller has gone must be noticed without another byte.
        if await reader.read(1):
            play.faults.append("the gateway sent more upstream")
        return False
    for piece in case.rest:
        # One by one: the gateway must find the caller gone while the answer goes on.
        writer.write(_chunk(piece))
        await writer.drain()
        await asyncio.sleep(_PAUSE_S)
    writer.write(_LAST_CHUNK)
    await writer.drain()
    return True


async def _call(play: Play, port: int, target: Target) -> None:
    case = play.case
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        body = case.speech.request
        head = (
            f"POST {target.path} HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {target.key}\r\n"
            f"content-type: application/json\r\n{CASE_HEADER}: {case.number}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        await play.asked.wait()
        received = b""
        if case.place != BEFORE_THE_HEAD:
            passes = case.passes
            while b"\r\n\r\n" not in received or len(_body(received)) < len(passes):
                received += await _more(reader)
        if case.side is Side.CALLER:
            _leave(writer, case.way)
            play.broken.set()
            if case.way is Way.HALF_CLOSE:
                await _rest(reader)
            return
        play.broken.set()
        received += await _rest(reader, until=_is_whole, before=received)
        play.body = _body(received)
    finally:
        play.broken.set()
        writer.close()


def _leave(writer: asyncio.StreamWriter, way: Way) -> None:
    match way:
        case Way.CLOSE:
            writer.close()
        case Way.RESET:
            _reset(writer)
        case Way.HALF_CLOSE:
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _more(reader: asyncio.StreamReader) -> bytes:
    chunk = await reader.read(_READ_BYTES)
    if not chunk:
        raise asyncio.IncompleteReadError(b"", None)
    return chunk


async def _rest(
    reader: asyncio.StreamReader, *, until: Callable[[bytes], bool] = lambda _: False, before: bytes = b""
) -> bytes:
    received = b""
    with suppress(ConnectionError):
        while not until(before + received) and (chunk := await reader.read(_READ_BYTES)):
            received += chunk
    return received


def _is_whole(received: bytes) -> bool:
    head, found, rest = received.partition(b"\r\n\r\n")
    if not found:
        return False
    if b"chunked" in head.lower():
        return rest.endswith(_LAST_CHUNK)
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return len(rest) >= int(length.partition(b":")[2])


def _body(received: bytes) -> bytes:
    """Return what has come of the body, without its framing."""
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return rest
    body = b""
    while rest:
        size, found, after = rest.partition(b"\r\n")
        if not found or not int(size, 16):
            break
        body += after[: int(size, 16)]
        rest = after[int(size, 16) + 2 :]
    return body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


async def _read_request(reader: asyncio.StreamReader) -> dict[str, str] | None:
    """Return a request's headers once its body is here too; None where there is no more."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return headers
