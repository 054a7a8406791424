"""Judges every request of the official SDK on its way to the sandbox, by a contract that nobody here wrote.

`checker` reads the contract from the SDK's own types. A request that it refuses is answered as Stripe would refuse it;
any other goes on to the sandbox, which keeps state where the checker keeps none. A test then asks that nothing was
refused.
"""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from faregate.providers.sandbox.api import HttpRequest, answer
from faregate.providers.sandbox.asking import Sandbox
from tests.contract.checker import rules, sdk2spec
from tests.contract.checker.stripe_validator import Bad, Contract, tree

_DEEP = 10_000
_PASSED_ON = ("Authorization", "Stripe-Version", "Idempotency-Key", "Content-Type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A request, what was wrong with it, and the status of its answer."""

    method: str
    path: str
    template: str | None
    params: Any
    version: str | None
    idempotency_key: str | None
    fault: dict[str, Any] | None
    status: int


@cache
def contract() -> Contract:
    """Return the contract of the SDK that is installed; it takes three seconds, once."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(_DEEP)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "stripe.openapi.json"
            path.write_text(json.dumps(sdk2spec.build()))
            return Contract(path)
    finally:
        sys.setrecursionlimit(limit)


class Judge(ThreadingHTTPServer):
    """Stands before a sandbox, of this process or at an address such as `http://127.0.0.1:8080/sandbox`."""

    daemon_threads = True

    def __init__(self, sandbox: Sandbox | str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.contract = contract()
        self.sandbox = sandbox
        self.log: list[Judged] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def refused(self) -> list[Judged]:
        """Return the requests that Stripe would not have taken."""
        return [judged for judged in self.log if judged.fault is not None]


@contextmanager
def judging(sandbox: Sandbox | str) -> Iterator[Judge]:
    with Judge(sandbox) as judge:
        thread = threading.Thread(target=judge.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield judge
        finally:
            judge.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Judge

    def _judge(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        template, params, fault = None, None, None
        try:
            template, operation, _ = self.server.contract.find(self.command.lower(), url.path)
            params = self._checked(url, body, operation, template)
        except Bad as bad:
            fault = bad.body
            status, said = bad.status, json.dumps({"error": bad.body}).encode()
        else:
            status, said = self._pass_on(url, body)
        judged = Judged(
            method=self.command,
            path=url.path,
            template=template,
            params=params,
            version=self.headers.get("Stripe-Version"),
            idempotency_key=self.headers.get("Idempotency-Key"),
            fault=fault,
            status=status,
        )
        self.server.log.append(judged)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.send_header("Request-Id", "req_judged")
        self.end_headers()
        self.wfile.write(said)

    def _checked(self, url: urllib.parse.SplitResult, body: bytes, operation: Any, template: str) -> Any:  # noqa: ANN401 - decoded JSON
        is_read = self.command in {"GET", "DELETE"}
        typed = url.path.startswith("/v2/") and not is_read
        sent = url.query if is_read else body.decode()
        raw = json.loads(sent or "{}") if typed else tree(urllib.parse.parse_qsl(sent, keep_blank_values=True))
        checker = self.server.contract
        params = checker.check(checker.params_schema(operation, "query" if is_read else "body"), raw, "", typed=typed)
        # The rule of 35 days goes by the machine's clock; the sandbox holds it by its own.
        timeless = {name: value for name, value in params.items() if name != "timestamp"}
        rules.check(self.command.lower(), template, timeless, Bad)
        return params

    def _pass_on(self, url: urllib.parse.SplitResult, body: bytes) -> tuple[int, bytes]:
        sandbox = self.server.sandbox
        if isinstance(sandbox, str):
            return self._send(urllib.parse.urlsplit(sandbox), body)
        request = HttpRequest(
            method=self.command,
            path=url.path,
            query=url.query.encode(),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        answered = answer(sandbox, request)
        return answered.status, answered.body

    def _send(self, upstream: urllib.parse.SplitResult, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=30)
        try:
            headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            connection.request(self.command, upstream.path + self.path, body=body or None, headers=headers)
            answered = connection.getresponse()
            return answered.status, answered.read()
        finally:
            connection.close()

    do_GET = do_POST = do_DELETE = _judge  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""
