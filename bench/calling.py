"""HTTP as benches speak it: one connection that stays open, JSON in and out, every wait bounded."""

from __future__ import annotations

import http.client
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bench.children import HOST, BenchError

_TIMEOUT_S: Final = 60.0
_GONE: Final = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Return the body's JSON, numbers with a point as text would be: as Decimal."""
        return msgspec.json.decode(self.body)


class Line:
    """A connection to a port of this machine; reopened where the other side closed it between two requests."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=_TIMEOUT_S)

    def call(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a request and read its whole answer.

        Raises:
            OSError, http.client.HTTPException: There was no whole answer.
        """
        fresh = self._connection.sock is None
        try:
            return self._exchange(method, path, body=body, headers=headers or {})
        except _GONE:
            self._connection.close()
            if fresh or method != "GET":
                raise
            return self._exchange(method, path, body=body, headers=headers or {})
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _exchange(self, method: str, path: str, *, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        self._connection.request(method, path, body=body, headers=dict(headers))
        response = self._connection.getresponse()
        text = response.read()
        return Reply(
            status=response.status,
            headers={name.lower(): value for name, value in response.getheaders()},
            body=text,
        )


class Api:
    """The management API, with a token."""

    def __init__(self, port: int, token: str) -> None:
        self._line = Line(port)
        self._headers = {"authorization": f"Bearer {token}"}

    def post(self, path: str, document: object, *, key: str | None = None) -> Any:  # noqa: ANN401 - JSON
        """Make something, once for each `key`; return what the API says of it. `BenchError` where it refuses."""
        headers = {
            **self._headers,
            "content-type": "application/json",
            "idempotency-key": key or secrets.token_hex(16),
        }
        reply = self._line.call("POST", f"/api/v1{path}", body=msgspec.json.encode(document), headers=headers)
        return _document(reply, f"POST {path}")

    def patch(self, path: str, document: object) -> Any:  # noqa: ANN401 - JSON
        """Change something; return what the API says of it. `BenchError` where it refuses."""
        headers = {**self._headers, "content-type": "application/json"}
        reply = self._line.call("PATCH", f"/api/v1{path}", body=msgspec.json.encode(document), headers=headers)
        return _document(reply, f"PATCH {path}")

    def put(self, path: str, document: object) -> Any:  # noqa: ANN401 - JSON
        """Set something; return what the API says of it. `BenchError` where it refuses."""
        headers = {**self._headers, "content-type": "application/json", "idempotency-key": secrets.token_hex(16)}
        reply = self._line.call("PUT", f"/api/v1{path}", body=msgspec.json.encode(document), headers=headers)
        return _document(reply, f"PUT {path}")

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Read something. `BenchError` where the API refuses."""
        return _document(self._line.call("GET", f"/api/v1{path}", headers=self._headers), f"GET {path}")

    def find(self, path: str) -> Any | None:  # noqa: ANN401 - JSON
        """Read something that may not be there yet: None on 404."""
        reply = self._line.call("GET", f"/api/v1{path}", headers=self._headers)
        return None if reply.status == http.HTTPStatus.NOT_FOUND else _document(reply, f"GET {path}")

    def close(self) -> None:
        """Close the connection."""
        self._line.close()


def read_metrics(port: int) -> dict[str, float]:
    """Return a process' metrics, the samples of a name added up over their labels."""
    line = Line(port)
    try:
        text = line.call("GET", "/metrics").body.decode()
    finally:
        line.close()
    sums: dict[str, float] = {}
    for sample in text.splitlines():
        if sample and not sample.startswith("#"):
            name, _, value = sample.rpartition(" ")
            name = name.partition("{")[0]
            sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def _document(reply: Reply, what: str) -> Any:  # noqa: ANN401 - JSON
    if reply.status >= http.HTTPStatus.BAD_REQUEST:
        raise BenchError(f"{what} was answered {reply.status}: {reply.body[:500].decode(errors='replace')}")
    return reply.json() if reply.body else None
