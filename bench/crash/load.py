"""Callers that go on calling while processes die, and write down what they hold of every answer."""

from __future__ import annotations

import http.client
import random
import threading
import time
from dataclasses import dataclass
from typing import Any, Final

from bench.cases import Customer, Offer, chat_body, chat_headers
from bench.chat_line import DONE, usage_of
from bench.children import HOST
from bench.crash.judge import OK
from bench.crash.records import CallerRecord, Outcome

CALLERS: Final = 32

_TIMEOUT_S: Final = 30.0
_REST_S: Final = 0.02
_READ_BYTES: Final = 65_536
_FAULTS: Final = (OSError, http.client.HTTPException)
_PROMPT_TOKENS: Final = (1, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """A kind of call: how often it is made, how much it answers, and the pauses that the upstream makes."""

    weight: int
    completion_tokens: tuple[int, int]
    is_stream: bool = False
    first_token_ms: tuple[int, int] = (0, 0)
    token_ms: tuple[int, int] = (0, 0)


# The last kind streams for more than two seconds: long enough for checkpoints.
_KINDS: Final = (
    _Kind(weight=40, completion_tokens=(1, 120)),
    _Kind(weight=20, completion_tokens=(1, 120), first_token_ms=(50, 400)),
    _Kind(weight=15, completion_tokens=(1, 120), is_stream=True),
    _Kind(weight=20, completion_tokens=(160, 320), is_stream=True, first_token_ms=(0, 100), token_ms=(20, 60)),
    _Kind(weight=5, completion_tokens=(640, 800), is_stream=True, token_ms=(60, 80)),
)


class Load:
    """Threads that call until `stop`. `records` grows by one for every call that has ended."""

    def __init__(self, offer: Offer, customer: Customer, *, port: int, seed: int) -> None:
        self.records: list[CallerRecord] = []
        self._offer = offer
        self._customer = customer
        self._port = port
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._call_on, args=(random.Random(f"{seed}:{number}"),), daemon=True)  # noqa: S311
            for number in range(CALLERS)
        ]

    def start(self) -> None:
        """Begin to call."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Make no new calls, and return when those in flight have ended."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(2 * _TIMEOUT_S)

    def complete(self) -> int:
        """Return how many whole answers there are so far."""
        return sum(record.outcome is Outcome.COMPLETE for record in tuple(self.records))

    def _call_on(self, chance: random.Random) -> None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=_TIMEOUT_S)
        while not self._stopping.is_set():
            record = self._call(connection, chance)
            self.records.append(record)
            if record.outcome is not Outcome.COMPLETE:
                connection.close()
                time.sleep(_REST_S)
        connection.close()

    def _call(self, connection: http.client.HTTPConnection, chance: random.Random) -> CallerRecord:
        (kind,) = chance.choices(_KINDS, weights=[kind.weight for kind in _KINDS])
        body, headers = self._request(kind, chance)
        try:
            if connection.sock is None:
                connection.connect()
        except _FAULTS:
            return CallerRecord(outcome=Outcome.NOT_SENT)
        try:
            connection.request("POST", f"{self._offer.route}/chat/completions", body=body, headers=headers)
            response = connection.getresponse()
        except _FAULTS:
            return CallerRecord(outcome=Outcome.INTERRUPTED, is_stream=kind.is_stream)
        return _read(response)

    def _request(self, kind: _Kind, chance: random.Random) -> tuple[bytes, dict[str, str]]:
        tokens = chance.randint(*kind.completion_tokens)
        asked: dict[str, Any] = {"max_tokens": tokens}
        if kind.is_stream:
            asked["stream"] = True
            if chance.random() < 0.5:  # noqa: PLR2004 - every second one
                asked["stream_options"] = {"include_usage": True}
        headers = chat_headers(
            self._customer.key,
            prompt_tokens=chance.randint(*_PROMPT_TOKENS),
            completion_tokens=tokens,
            first_token_ms=chance.randint(*kind.first_token_ms),
            token_ms=chance.randint(*kind.token_ms),
        )
        return chat_body(**asked), headers


def _read(response: http.client.HTTPResponse) -> CallerRecord:
    """Read an answer to its end, or to where it breaks off."""
    is_stream = (response.getheader("content-type") or "").startswith("text/event-stream")
    text = b""
    try:
        while part := response.read1(_READ_BYTES):
            text += part
    except _FAULTS:
        pass
    finally:
        # Read part by part, a response does not see its own end, and would keep its connection busy.
        response.close()
    request_id = response.getheader("x-request-id") or ""
    whole = text.endswith(DONE) if is_stream else len(text) == int(response.getheader("content-length") or -1)
    if not whole:
        return CallerRecord(
            outcome=Outcome.INTERRUPTED, request_id=request_id, status=response.status, is_stream=is_stream
        )
    if response.status != OK:
        return CallerRecord(outcome=Outcome.REFUSED, request_id=request_id, status=response.status)
    usage = usage_of(text, is_stream=is_stream)
    return CallerRecord(
        outcome=Outcome.COMPLETE,
        request_id=request_id,
        status=response.status,
        is_stream=is_stream,
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        completion_tokens=None if usage is None else usage.completion_tokens,
    )
