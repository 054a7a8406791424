"""A server in Stripe's place that answers what a test wrote down, in order, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer; without a status the connection breaks instead."""

    status: int | None
    body: object = field(default_factory=dict)

    @classmethod
    def error(cls, status: int, message: str = "no", **fields: str) -> Scripted:
        return cls(status, {"error": {"type": "invalid_request_error", "message": message} | fields})


class StandIn(ThreadingHTTPServer):
    """Answers `script` in its order; `keys` are the idempotency keys that it saw."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Scripted] = []
        self.keys: list[str | None] = []
        self.versions: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.keys.append(self.headers.get("Idempotency-Key"))
        self.server.versions.add(self.headers.get("Stripe-Version"))
        scripted = self.server.script.pop(0)
        if scripted.status is None:
            self.connection.close()
            return
        body = json.dumps(scripted.body).encode()
        self.send_response(scripted.status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Request-Id", "req_1")
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def standing_in() -> Iterator[StandIn]:
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
