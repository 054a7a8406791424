"""Callers on open connections, each to one gateway, who call for whoever still has something to spend.

Customers come one after the other, so that at any time a few of them are called for by many connections at once. Who
was refused is called for again after a pause; who wants less than they paid for, until they have it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from msgspec import Struct

from bench.cases import chat_body, chat_headers
from bench.chat_line import DONE, usage_of
from bench.children import HOST
from bench.crash.judge import OK, PAYMENT_REQUIRED
from bench.crash.records import Outcome
from bench.overspend.market import DEFAULT_OUTPUT, LEAST_OUTPUT, Buyer
from bench.overspend.records import CallRecord

_TIMEOUT_S: Final = 60.0
_REST_S: Final = 0.03
_AWAY_REST_S: Final = 0.1
_SERVER_ERROR: Final = 500
_REPEATED_STATUS: Final = 503
"""What a route with several attempts calls again for."""

_REFUSED_REST_S: Final = (0.3, 3.0)
_LAST_REFUSALS: Final = 3
"""How often a customer must be refused after the last kill to count as having spent all that can be."""

_TRIES: Final = 8
_MOST_INPUT: Final = 60
_TOKENS_PER_MESSAGE: Final = 16
_MESSAGES: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of call: how often it is made, its limit on output, and the pauses that the upstream makes."""

    weight: int
    most_output: tuple[int, int] | None
    is_stream: bool = False
    choices: int = 1
    first_token_ms: tuple[int, int] = (0, 0)
    token_ms: tuple[int, int] = (0, 0)
    fails: bool = False


# Every second caller answers much less than the limit, so that most of a hold comes back.
_KINDS: Final = (
    _Kind(weight=25, most_output=(8, 120)),
    _Kind(weight=25, most_output=(8, 120), first_token_ms=(20, 300)),
    _Kind(weight=10, most_output=None, first_token_ms=(20, 200)),
    _Kind(weight=5, most_output=(8, 60), choices=2, first_token_ms=(20, 200)),
    _Kind(weight=15, most_output=(8, 120), is_stream=True),
    _Kind(weight=17, most_output=(60, 250), is_stream=True, first_token_ms=(0, 100), token_ms=(10, 60)),
    _Kind(weight=3, most_output=(300, 500), is_stream=True, token_ms=(60, 80)),
    _Kind(weight=3, most_output=(8, 120), fails=True),
)


class _Error(Struct, frozen=True):
    code: str | None = None


class _Refusal(Struct, frozen=True):
    error: _Error | None = None


class _Broken(Exception):
    """An answer that is not whole."""


@dataclass(slots=True)
class _Standing:
    """How a customer stands: calls so far, until when nobody calls for them, and their last refusals in a row."""

    calls: int = 0
    rests_until_s: float = 0.0
    refused_since_heal: int = 0


class Load:
    """Calls until `close` is done. `records` grows by one for every call that has ended."""

    def __init__(self, buyers: Sequence[Buyer], ports: Sequence[int], *, connections: int, seed: int) -> None:
        self.records: list[CallRecord] = []
        self._buyers = buyers
        self._ports = ports
        self._standings = [_Standing() for _ in buyers]
        self._entered = 0
        self._closing = False
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._connections = connections
        self._seed = seed

    def start(self) -> None:
        """Begin to call; nobody is called for until `enter`."""
        for number in range(self._connections):
            chance = random.Random(f"{self._seed}:{number}")  # noqa: S311 - a seed repeats the calls that are made
            self._tasks.append(asyncio.create_task(self._call_on(number % len(self._ports), chance)))

    def enter(self, part: float) -> None:
        """Let the first `part` (0 to 1) of the customers be called for."""
        self._entered = max(self._entered, round(part * len(self._buyers)))

    async def close(self, *, within_s: float) -> bool:
        """Call on until all with more demand than credit are refused again and again; return whether all were."""
        self.enter(1.0)
        self._closing = True
        for standing in self._standings:
            standing.refused_since_heal = 0
            standing.rests_until_s = 0.0
        ends_s = time.monotonic() + within_s
        while self._left() and time.monotonic() < ends_s:  # noqa: ASYNC110 - it ends in many places
            await asyncio.sleep(0.1)
        everyone = not self._left()
        await self.stop()
        return everyone

    async def stop(self) -> None:
        """Make no new calls, and return when those in flight have ended."""
        self._stopping = True
        await asyncio.wait_for(asyncio.gather(*self._tasks), 2 * _TIMEOUT_S)

    def _left(self) -> int:
        return sum(not self._is_done(number) for number in range(self._entered))

    def _is_done(self, number: int) -> bool:
        standing, most = self._standings[number], self._buyers[number].most_calls
        if most is not None:
            return standing.calls >= most
        return self._closing and standing.refused_since_heal >= _LAST_REFUSALS

    def _next(self, chance: random.Random) -> int | None:
        """Return someone to call for: of the entered, who is not done and does not rest."""
        if not self._entered:
            return None
        now_s = time.monotonic()
        for _ in range(_TRIES):
            number = chance.randrange(self._entered)
            if self._standings[number].rests_until_s <= now_s and not self._is_done(number):
                return number
        ready = [
            number
            for number in range(self._entered)
            if self._standings[number].rests_until_s <= now_s and not self._is_done(number)
        ]
        return chance.choice(ready) if ready else None

    async def _call_on(self, gateway: int, chance: random.Random) -> None:
        line = _Line(self._ports[gateway])
        while not self._stopping:
            number = self._next(chance)
            if number is None:
                await asyncio.sleep(_REST_S)
                continue
            self._standings[number].calls += 1
            record = await self._call(line, number, gateway=gateway, chance=chance)
            self.records.append(record)
            self._note(record, chance)
            if record.outcome is not Outcome.COMPLETE:
                await asyncio.sleep(_AWAY_REST_S if record.status >= _SERVER_ERROR else _REST_S)
        line.close()

    def _note(self, record: CallRecord, chance: random.Random) -> None:
        standing = self._standings[record.buyer]
        if record.status == PAYMENT_REQUIRED:
            standing.refused_since_heal += 1
            standing.rests_until_s = time.monotonic() + chance.uniform(*_REFUSED_REST_S) * (0.1 if self._closing else 1)
        elif record.outcome is Outcome.COMPLETE:
            standing.refused_since_heal = 0
        else:
            standing.calls -= 1

    async def _call(self, line: _Line, number: int, *, gateway: int, chance: random.Random) -> CallRecord:
        (kind,) = chance.choices(_KINDS, weights=[kind.weight for kind in _KINDS])
        buyer = self._buyers[number]
        body, headers, bound, least = _request(kind, buyer, chance)
        record = CallRecord(
            buyer=number,
            gateway=gateway,
            sent_s=time.monotonic(),
            ended_s=0.0,
            bound=bound,
            least=least,
            is_stream=kind.is_stream,
        )
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await line.open()
                record.outcome = Outcome.INTERRUPTED
                await line.ask(f"{buyer.tariff.route}/chat/completions", body=body, headers=headers, record=record)
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, _Broken):
            line.close()
        record.ended_s = time.monotonic()
        return record


def _request(
    kind: _Kind, buyer: Buyer, chance: random.Random
) -> tuple[bytes, dict[str, str], tuple[int, int], tuple[int, int]]:
    """Return body and headers of a call, the most it can use, and the least that the route lowers this to."""
    asked: dict[str, Any] = {}
    most = DEFAULT_OUTPUT
    if kind.most_output is not None:
        most = asked["max_tokens"] = chance.randint(*kind.most_output)
    if kind.choices > 1:
        asked["n"] = kind.choices
    if kind.is_stream:
        asked["stream"] = True
        if chance.random() < 0.5:  # noqa: PLR2004 - every second one
            asked["stream_options"] = {"include_usage": True}
    wanted = most + 10 if chance.random() < 0.3 else chance.randint(1, most)  # noqa: PLR2004 - some would go on
    body = chat_body(**asked)
    failing = {"fail_status": _REPEATED_STATUS} if kind.fails else {}
    headers = chat_headers(
        buyer.customer.key,
        **failing,
        prompt_tokens=chance.randint(1, _MOST_INPUT),
        completion_tokens=wanted,
        first_token_ms=chance.randint(*kind.first_token_ms),
        token_ms=chance.randint(*kind.token_ms),
    )
    most_input = _most_input(body)
    bound = (most_input, most * kind.choices)
    return body, headers, bound, (most_input, min(most, LEAST_OUTPUT) * kind.choices)


def cheapest_call() -> tuple[int, int]:
    """Return the least bound, input and output, of any call that is made."""
    return _most_input(chat_body(max_tokens=LEAST_OUTPUT)), LEAST_OUTPUT


def _most_input(body: bytes) -> int:
    """Return the bound that docs/decisions/0003 names: the bytes, and 16 for each message and one more."""
    return len(body) + _TOKENS_PER_MESSAGE * (_MESSAGES + 1)


class _Line:
    """A connection to a gateway: one call after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect, unless it is open."""
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)

    def close(self) -> None:
        """Close the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def ask(self, path: str, *, body: bytes, headers: dict[str, str], record: CallRecord) -> None:
        """Make a call, read its whole answer and write down what it was."""
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise EOFError
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {len(body)}\r\n{lines}\r\n"
        writer.write(head.encode() + body)
        status, found = _read_head(await reader.readuntil(b"\r\n\r\n"))
        record.status, record.request_id = status, found.get("x-request-id", "")
        if "content-length" in found:
            text = await reader.readexactly(int(found["content-length"]))
        else:
            text = await _read_chunks(reader)
        if found.get("connection") == "close":
            self.close()
        is_stream = found.get("content-type", "").startswith("text/event-stream")
        if is_stream and not text.endswith(DONE):
            raise _Broken
        record.outcome = Outcome.COMPLETE if status == OK else Outcome.REFUSED
        if status != OK:
            error = msgspec.json.decode(text, type=_Refusal).error
            record.error_code = (error.code if error is not None else None) or ""
            return
        usage = usage_of(text, is_stream=is_stream)
        if usage is not None:
            record.reported = (usage.prompt_tokens, usage.completion_tokens)


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest if line)
    return int(first.split(" ", 2)[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    text = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        text += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return bytes(text)
