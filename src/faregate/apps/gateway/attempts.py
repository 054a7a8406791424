"""A call that may be sent more than once: to its upstream and the fallbacks in turn, while its caller has nothing.

Another attempt is made where the upstream could not be reached, or answered with a status that the route names. An
upstream that took the request and then broke off or fell silent is not asked again: it may have done the work. Every
attempt is noted on the call, and so in its event; only the last one's answer is passed on, settled and billed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from faregate.apps.gateway.call import Call, request_headers
from faregate.apps.gateway.caller import CallerWatch
from faregate.apps.gateway.headers import Headers, header
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.apps.gateway.targets import Retries, Target
from faregate.apps.gateway.upstream_client import UpstreamAnswer, UpstreamClient, UpstreamFailed, WholeAnswer
from faregate.wire.dialects.seam import MeteredDialect
from faregate.wire.gateway_protocol import AttemptFacts

_FIRST_PAUSE_S: Final = 0.1
_MILLISECONDS: Final = 1_000
_LONGEST_RETRY_AFTER_S: Final = 10.0
"""An upstream that asks for more patience is not waited for: its answer goes to the caller."""

_MOST_FAILED_BYTES: Final = 65_536
_FAILED_WITHIN_S: Final = 1.0
"""How much of an answer that is not passed on is read, for the usage it may report."""

_Answer = TypeVar("_Answer", WholeAnswer, UpstreamAnswer)


class RepeatingClient:
    """Sends one call as `UpstreamClient` does, as often as its route allows; raises what the last attempt raised."""

    def __init__(
        self,
        client: UpstreamClient,
        call: Call,
        retries: Retries,
        *,
        dialect: MeteredDialect,
        now: Callable[[], datetime],
        metrics: GatewayMetrics,
    ) -> None:
        self._client = client
        self._call = call
        self._retries = retries
        self._dialect = dialect
        self._now = now
        self._metrics = metrics

    async def fetch(self, method: str, url: str, *, headers: Headers, body: bytes) -> WholeAnswer:
        """Return the answer of the last attempt when all of it is here."""

        async def send(target: Target, within_ms: int | None) -> WholeAnswer:
            return await self._client.fetch(
                method,
                self._url(target, url),
                headers=self._headers(target, headers),
                body=body,
                within_ms=within_ms,
            )

        async def read(answer: WholeAnswer) -> bytes:
            return answer.body

        return await self._repeat(send, read)

    async def stream(self, method: str, url: str, *, headers: Headers, body: bytes) -> UpstreamAnswer:
        """Return the answer of the last attempt when its head is here."""

        async def send(target: Target, within_ms: int | None) -> UpstreamAnswer:
            return await self._client.stream(
                method,
                self._url(target, url),
                headers=self._headers(target, headers),
                body=body,
                within_ms=within_ms,
            )

        return await self._repeat(send, _read_failed)

    async def _repeat(
        self,
        send: Callable[[Target, int | None], Awaitable[_Answer]],
        read: Callable[[_Answer], Awaitable[bytes]],
    ) -> _Answer:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._call.plan.route.state.total_timeout_ms / _MILLISECONDS
        targets = self._retries.targets
        within_ms = None
        for place, target in enumerate(targets[:-1]):
            self._note(AttemptFacts(attempt=place + 1, upstream=target.place, asked_at=self._now()))
            try:
                answer = await send(target, within_ms)
            except UpstreamFailed as error:
                if error.was_sent:
                    raise
                pause_s = self._pause_s(place)
                left_s = deadline_s - loop.time() - pause_s
                if left_s <= 0:
                    raise
            else:
                self._renote(status=answer.status)
                if answer.status not in self._retries.statuses:
                    return answer
                pause_s = max(self._pause_s(place), self._asked_s(place, answer.headers))
                left_s = deadline_s - loop.time() - pause_s
                if left_s <= 0 or pause_s > _LONGEST_RETRY_AFTER_S:
                    return answer
                await self._drop(answer, read)
            within_ms = int(left_s * _MILLISECONDS) + 1
            self._metrics.attempts_repeated += 1
            await self._pause(pause_s)
        last = targets[-1]
        self._note(AttemptFacts(attempt=len(targets), upstream=last.place, asked_at=self._now()))
        answer = await send(last, within_ms)
        self._renote(status=answer.status)
        return answer

    async def _pause(self, pause_s: float) -> None:
        """Wait before the next attempt; where the route cancels, a caller who leaves meanwhile ends the call."""
        watch = CallerWatch(self._call.protocol) if self._call.plan.route.cancels else None
        try:
            if watch is not None:
                watch.cancel_when_gone()
            await asyncio.sleep(pause_s)
        finally:
            if watch is not None:
                watch.close()

    def _pause_s(self, place: int) -> float:
        """Return how long to wait before the next attempt: not at all for an upstream that was not asked yet."""
        if self._is_fresh(place + 1):
            return 0.0
        pause_s: float = _FIRST_PAUSE_S * 2**place
        return pause_s * (0.5 + random.random())  # noqa: S311 - jitter

    def _asked_s(self, place: int, headers: Headers) -> float:
        """Return how long the upstream asks not to be asked again for."""
        return 0.0 if self._is_fresh(place + 1) else _retry_after_s(headers)

    def _is_fresh(self, place: int) -> bool:
        targets = self._retries.targets
        return targets[place] not in targets[:place]

    async def _drop(self, answer: _Answer, read: Callable[[_Answer], Awaitable[bytes]]) -> None:
        """Let go of an answer that is not passed on, and note the usage it reports."""
        body = await read(answer)
        record, _ = self._dialect.read_answer(
            body, request=self._call.request, headers=answer.headers, input_estimate=None, most_output=None
        )
        if record.usage:
            self._renote(usage=dict(record.usage))

    def _note(self, facts: AttemptFacts) -> None:
        self._call.attempts = [*(self._call.attempts or ()), facts]

    def _renote(self, **changes: object) -> None:
        attempts = self._call.attempts
        assert attempts is not None  # noqa: S101 - it is noted before it is sent
        attempts[-1] = msgspec.structs.replace(attempts[-1], **changes)

    def _url(self, target: Target, url: str) -> str:
        """Return where an attempt goes: `url` is the route's own upstream and what follows it."""
        return target.upstream_url + url.removeprefix(self._retries.targets[0].upstream_url)

    def _headers(self, target: Target, headers: Headers) -> Headers:
        if target is self._retries.targets[0]:
            return headers
        return request_headers(self._call, target.dropped_headers, target.headers)


async def _read_failed(answer: UpstreamAnswer) -> bytes:
    """Read an answer that is not passed on, within bounds, and close it; b"" where it does not come to its end."""
    try:
        async with asyncio.timeout(_FAILED_WITHIN_S):
            return await answer.read_whole(_MOST_FAILED_BYTES)
    except (UpstreamFailed, TimeoutError):
        return b""
    finally:
        await answer.close()


def _retry_after_s(headers: Headers) -> float:
    """Return the seconds that `retry-after` asks for; a date, as RFC 9110 allows, is not read."""
    asked = header(headers, "retry-after")
    return float(asked) if asked is not None and asked.isascii() and asked.isdecimal() else 0.0
