"""What the sandbox knows only while it runs: who is being served, how often in this second, and the latest requests."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from faregate.providers.sandbox.faulty import Rates, lock_timeout

_KEPT: Final = 1_000


class RequestLine(NamedTuple):
    """A request and what it was answered; `error` is the refusal's message, `fault` the rule that struck it."""

    at_ms: int
    method: str
    path: str
    status: int
    request_id: str
    idempotency_key: str | None
    error: str | None
    fault: str | None


class Live:
    """`requests`: the latest, oldest first. `rates`: requests in a second, by the rule that counts them."""

    def __init__(self) -> None:
        self.requests: deque[RequestLine] = deque(maxlen=_KEPT)
        self.rates: Rates = {}
        self._turn = threading.Lock()
        self._served: set[Hashable] = set()

    def latest(self) -> list[RequestLine]:
        """Return the latest requests, newest first: of a moment, while others are answered."""
        return list(self.requests)[::-1]

    @contextmanager
    def alone(self, held: Hashable | None) -> Iterator[None]:
        """Serve one request at a time of those that hold the same; raises `StripeFault` (429) for another."""
        if held is None:
            yield
            return
        with self._turn:
            if held in self._served:
                raise lock_timeout()
            self._served.add(held)
        try:
            yield
        finally:
            with self._turn:
                self._served.remove(held)
