"""Calls through the gateway, as a customer's program makes them, and what came back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.response import Response

from faregate.apps.story.chat import PATH, ChatCall
from faregate.base.errors import Unavailable

_TIMEOUT: Final = timedelta(seconds=120)
_DONE: Final = b"data: [DONE]\n\n"
_EVENT_END: Final = b"\n\n"
_NANOSECONDS: Final = 1_000_000
_POLL_S: Final = 0.005


class ErrorBody(msgspec.Struct, frozen=True):
    """The error object of a refused call, in OpenAI's shape."""

    message: str
    type: str
    code: str
    param: str | None = None


class _ErrorDocument(msgspec.Struct, frozen=True):
    error: ErrorBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a caller got. `first_ms` and `whole_ms` count from before the request was sent.

    `error` is there for every status but 200; `text` is the beginning of the first answer; `retry` is `x-should-retry`.
    """

    status: int
    request_id: str
    first_ms: float
    whole_ms: float
    chunks: int = 0
    text: str = ""
    error: ErrorBody | None = None
    retry: str | None = None


def loopback_client() -> Client:
    """Return a client for processes of this machine: no proxy, no redirects, and an end to every wait."""
    return ClientBuilder().no_proxy().follow_redirects(enable=False).timeout(_TIMEOUT).build()


class Caller:
    """A customer's program: one key, one gateway."""

    def __init__(self, client: Client, *, gateway: str, key: str) -> None:
        self._client = client
        self._url = gateway + PATH
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    async def known(self, *, within_s: float) -> bool:
        """Return whether the gateway knows the key, waiting for it up to a time. Asks for nothing, so it costs nothing.

        What an operator changed before the key was made has reached the gateway too then: changes arrive in order.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + within_s
        while True:
            request = self._client.post(self._url).headers(self._headers).body_bytes(b"{}").build()
            try:
                if (await request.send()).status != HTTPStatus.UNAUTHORIZED:
                    return True
            except PyreqwestError as error:
                raise Unavailable(f"the gateway did not answer: {error.message}") from error
            if loop.time() > deadline_s:
                return False
            await asyncio.sleep(_POLL_S)

    async def ask(self, call: ChatCall, *, leave_after_chunks: int | None = None) -> Answered:
        """Make a call and read its answer, or a stream's first chunks only.

        Raises:
            Unavailable: The gateway did not answer.
        """
        builder = self._client.post(self._url).headers({**self._headers, **call.headers}).body_bytes(call.body)
        started_ns = time.perf_counter_ns()
        try:
            async with builder.streamed_read_buffer_limit(0).build_streamed() as response:
                if response.status != HTTPStatus.OK:
                    return await _read_refusal(response, started_ns)
                if call.stream:
                    return await _read_stream(response, started_ns, leave_after_chunks=leave_after_chunks)
                return await _read_whole(response, started_ns)
        except PyreqwestError as error:
            raise Unavailable(f"the gateway did not answer: {error.message}") from error


async def _read_refusal(response: Response, started_ns: int) -> Answered:
    body = bytes(await response.bytes())
    took_ms = _since_ms(started_ns)
    return Answered(
        status=response.status,
        request_id=_request_id(response),
        first_ms=took_ms,
        whole_ms=took_ms,
        error=_read_error(body),
        retry=response.get_header("x-should-retry"),
    )


async def _read_whole(response: Response, started_ns: int) -> Answered:
    first_ms = _since_ms(started_ns)
    body = bytes(await response.bytes())
    return Answered(
        status=response.status,
        request_id=_request_id(response),
        first_ms=first_ms,
        whole_ms=_since_ms(started_ns),
        text=_text(body),
    )


async def _read_stream(response: Response, started_ns: int, *, leave_after_chunks: int | None) -> Answered:
    first_ms, chunks, text = 0.0, 0, []
    async for event in _events(response):
        chunks += 1
        first_ms = first_ms or _since_ms(started_ns)
        text.append(_delta(event))
        if chunks == leave_after_chunks:
            break
    return Answered(
        status=response.status,
        request_id=_request_id(response),
        first_ms=first_ms,
        whole_ms=_since_ms(started_ns),
        chunks=chunks,
        text="".join(text),
    )


def _text(body: bytes) -> str:
    try:
        text: str = msgspec.json.decode(body)["choices"][0]["message"]["content"]
    except (msgspec.DecodeError, LookupError, TypeError) as error:
        raise Unavailable("the answer is not a chat completion") from error
    return text


def _request_id(response: Response) -> str:
    return response.get_header("x-request-id") or ""


async def _events(response: Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the chunks of a stream; `Unavailable` where it ends before `[DONE]`."""
    pending = b""
    reader = response.body_reader
    while (part := await reader.read_chunk()) is not None:
        *whole, pending = (pending + bytes(part)).split(_EVENT_END)
        for event in whole:
            if event + _EVENT_END == _DONE:
                return
            yield msgspec.json.decode(event.removeprefix(b"data: "))
    raise Unavailable("the stream ended before its [DONE]")


def _delta(chunk: dict[str, Any]) -> str:
    choices = chunk["choices"]
    return choices[0]["delta"].get("content") or "" if choices else ""


def _read_error(body: bytes) -> ErrorBody:
    try:
        return msgspec.json.decode(body, type=_ErrorDocument).error
    except msgspec.DecodeError:
        return ErrorBody(message=body[:200].decode(errors="replace"), type="unknown", code="unknown")


def _since_ms(started_ns: int) -> float:
    return (time.perf_counter_ns() - started_ns) / _NANOSECONDS
