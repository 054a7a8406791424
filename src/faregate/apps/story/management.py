"""The management API as an operator's program uses it: typed, over HTTP, with the problem's words in every error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from pyreqwest.client import Client
from pyreqwest.exceptions import PyreqwestError

from faregate.base.errors import FaregateError, Unavailable
from faregate.base.limits import MAX_PAGE_ROWS
from faregate.wire.api.common import Page
from faregate.wire.problem import Problem

T = TypeVar("T")

_API: Final = "/api/v1"
_POLL_FIRST_S: Final = 0.005
_POLL_MOST_S: Final = 0.25


class Refused(FaregateError):
    """The management API refused a request; `status` is the answer's."""

    code = "refused"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Management:
    """One application's management API."""

    def __init__(self, client: Client, *, origin: str, token: str) -> None:
        self._client = client
        self._url = origin + _API
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    async def get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        """Return what `GET` answers, as `kind`.

        Raises:
            Refused: The answer is a problem document.
            Unavailable: There was no answer.
        """
        return await self._send("GET", path, kind, query=query)

    async def post(self, path: str, body: object, kind: type[T], *, caller_id: str | None = None) -> T:
        """Return what `POST` answers, as `kind`; raises as `get` does."""
        return await self._send("POST", path, kind, body=msgspec.json.encode(body), caller_id=caller_id)

    async def delete(self, path: str) -> None:
        """Delete what is at `path`; raises as `get` does."""
        await self._request("DELETE", path)

    async def every(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> list[T]:
        """Return a whole list, all its pages; raises as `get` does."""
        asked = {**(query or {}), "limit": str(MAX_PAGE_ROWS)}
        rows: list[T] = []
        while True:
            page = await self.get(path, Page[kind], asked)  # type: ignore[valid-type]  # msgspec takes it at run time
            rows += page.data
            if page.next_cursor is None:
                return rows
            asked["cursor"] = page.next_cursor

    async def _send(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        caller_id: str | None = None,
    ) -> T:
        return msgspec.json.decode(
            await self._request(method, path, query=query, body=body, caller_id=caller_id), type=kind
        )

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        caller_id: str | None = None,
    ) -> bytes:
        builder = self._client.request(method, self._url + path).headers(self._headers)
        if caller_id is not None:
            builder = builder.header("idempotency-key", caller_id)
        if query:
            builder = builder.query(dict(query))
        if body is not None:
            builder = builder.body_bytes(body)
        try:
            response = await builder.build().send()
            answer = bytes(await response.bytes())
        except PyreqwestError as error:
            raise Unavailable(f"{method} {_API}{path} was not answered: {error.message}") from error
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise Refused(f"{method} {_API}{path}: {response.status} {_words_of(answer)}", response.status)
        return answer

    async def until(
        self,
        path: str,
        kind: type[T],
        *,
        reached: Callable[[T], bool],
        within_s: float,
        query: Mapping[str, str] | None = None,
    ) -> T:
        """Return the answer to `GET` once `reached` says so, or the last one when the time is over.

        What does not exist yet is asked for again.
        """
        loop = asyncio.get_running_loop()
        deadline_s, pause_s = loop.time() + within_s, _POLL_FIRST_S
        while True:
            late = loop.time() >= deadline_s
            try:
                found = await self.get(path, kind, query)
            except Refused as error:
                if error.status != HTTPStatus.NOT_FOUND or late:
                    raise
            else:
                if late or reached(found):
                    return found
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _POLL_MOST_S)


def _words_of(answer: bytes) -> str:
    try:
        return msgspec.json.decode(answer, type=Problem).detail
    except msgspec.DecodeError:
        return answer[:200].decode(errors="replace")


def as_json(record: object) -> str:
    """Return a record as an indented JSON document."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2).decode()


def plain_object(record: object) -> dict[str, Any]:
    """Return a record as JSON would have it."""
    built: dict[str, Any] = msgspec.to_builtins(record)
    return built
