"""Load at a set rate: each request has a moment at which it is due, and its time counts from then.

wrk sends as fast as it is answered; here a server that stalls is waited for by all that was due meanwhile. One thread,
plain sockets, `select`, which waits by the microsecond.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from typing import Final

from bench.children import HOST, BenchError
from bench.ranks import Spread, spread

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"
_READ_BYTES: Final = 65_536
_LATE_S: Final = 10.0
"""How long after its last request a run is waited for."""


def run_paced(port: int, request: bytes, *, rate_per_s: float, seconds: float, connections: int) -> Spread:
    """Send `request` at that rate over open connections; return the times from due to answered.

    `BenchError` where an answer is no 200, or does not come.
    """
    lines = [_Connection(port) for _ in range(connections)]
    try:
        return spread(_drive(lines, request, count=int(rate_per_s * seconds), apart_s=1 / rate_per_s))
    finally:
        for line in lines:
            line.socket.close()


def http_request(path: str, port: int, *, key: str, body: bytes) -> bytes:
    """Return a whole chat request, as it goes over a socket."""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {HOST}:{port}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection:
    """One open connection; `due_s`: when the request was due that it waits for."""

    __slots__ = ("due_s", "read", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=_LATE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_s = 0.0
        self.read = b""

    def fileno(self) -> int:
        return self.socket.fileno()

    def is_answered(self) -> bool:
        """Read what is there; return whether the answer is whole."""
        chunk = self.socket.recv(_READ_BYTES)
        if not chunk:
            raise BenchError("the server closed a connection under load")
        self.read += chunk
        head, end, body = self.read.partition(_HEAD_END)
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"answered {head[:40].decode(errors='replace')!r} under load")
        named = next((line for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH)), None)
        if named is None:
            raise BenchError("an answer without a length")
        if len(body) < int(named.removeprefix(_LENGTH)):
            return False
        self.read = b""
        return True


def _drive(lines: list[_Connection], request: bytes, *, count: int, apart_s: float) -> list[float]:
    """Return the milliseconds of each request, in the order of their answers."""
    idle, busy = deque(lines), set[_Connection]()
    begun_s = time.perf_counter()
    taken_ms: list[float] = []
    sent = 0
    while len(taken_ms) < count:
        now_s = time.perf_counter()
        while sent < count and idle and (due_s := begun_s + sent * apart_s) <= now_s:
            line = idle.popleft()
            line.due_s = due_s
            line.socket.sendall(request)
            busy.add(line)
            sent += 1
        wait_s = max(0.0, begun_s + sent * apart_s - time.perf_counter()) if sent < count and idle else _LATE_S
        ready, _, _ = select.select(busy, (), (), wait_s)
        if not ready and wait_s == _LATE_S:
            raise BenchError(f"no answer within {_LATE_S} s under load")
        for line in ready:
            if line.is_answered():
                taken_ms.append(1_000 * (time.perf_counter() - line.due_s))
                busy.discard(line)
                idle.append(line)
    return taken_ms
