"""Calls of the management API from the command line."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import msgspec
from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import ConnectError

from faregate.wire.problem import Problem

_TIMEOUT: Final = timedelta(minutes=10)
_ASK_TIMEOUT: Final = timedelta(seconds=30)
_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_PAUSES_S: Final = (0.1, 0.4)
_NEW_LINE: Final = b"\n"


class Refused(Exception):
    """The control plane did not do what was asked."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def is_url(text: str) -> bool:
    """Return whether a text is the URL of a server."""
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def stream_lines(url: str, token: str, body: bytes) -> Iterator[bytes]:
    """Post a body and yield the lines of the answer as they come; `Refused` where it is a problem document.

    A server that cannot be reached is tried three times; `PyreqwestError` says what is wrong after that.
    """
    builder = SyncClientBuilder().no_proxy().follow_redirects(enable=False)
    with builder.connect_timeout(_CONNECT_TIMEOUT).timeout(_TIMEOUT).build() as client:
        for pause_s in _PAUSES_S:
            try:
                yield from _lines(client, url, token, body=body)
            except ConnectError:
                time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - jitter
            else:
                return
        yield from _lines(client, url, token, body=body)


def ask(method: str, url: str, token: str, *, body: bytes | None = None, timeout: timedelta = _ASK_TIMEOUT) -> bytes:
    """Return the answer's body; `Refused` where it is a problem document. Failures as `stream_lines`."""
    with SyncClientBuilder().no_proxy().follow_redirects(enable=False).timeout(timeout).build() as client:
        for pause_s in _PAUSES_S:
            try:
                return _ask(client, method, url, token=token, body=body)
            except ConnectError:
                time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - jitter
        return _ask(client, method, url, token=token, body=body)


def _ask(client: SyncClient, method: str, url: str, *, token: str, body: bytes | None) -> bytes:
    request = client.request(method, url).headers({"authorization": f"Bearer {token}"})
    if body is not None:
        request = request.headers({"content-type": "application/json"}).body_bytes(body)
    answer = request.build().send()
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise Refused(msgspec.json.decode(bytes(answer.bytes()), type=Problem))
    return bytes(answer.bytes())


def _lines(client: SyncClient, url: str, token: str, *, body: bytes) -> Iterator[bytes]:
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json", "accept": "application/x-ndjson"}
    request = client.post(url).headers(headers).body_bytes(body).streamed_read_buffer_limit(0).build_streamed()
    with request as answer:
        if answer.status != HTTPStatus.OK:
            raise Refused(msgspec.json.decode(bytes(answer.bytes()), type=Problem))
        rest = b""
        while (chunk := answer.body_reader.read_chunk()) is not None:
            *lines, rest = (rest + bytes(chunk)).split(_NEW_LINE)
            yield from lines
