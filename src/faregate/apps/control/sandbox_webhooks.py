"""The sandbox's webhooks on their way: a task for each receiver posts to it, so that none waits for another."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import RequestError

from faregate.apps.control.loops import TICK_S
from faregate.providers.sandbox import deliveries
from faregate.providers.sandbox.asking import Sandbox
from faregate.providers.sandbox.deliveries import Due, Outcome
from faregate.providers.sandbox.meter_errors import report_errors

_log: Final = structlog.stdlib.get_logger()

_CONNECT_WITHIN: Final = timedelta(seconds=5)
_ANSWER_WITHIN: Final = timedelta(seconds=10)
_HEADERS: Final = {
    "content-type": "application/json; charset=utf-8",
    "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
}


class SandboxWebhooks:
    """Sends what waits, at least once; a status of success says that it was taken. Redirects are not followed."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._posting: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._client = (
            ClientBuilder()
            .follow_redirects(enable=False)
            .no_proxy()
            .connect_timeout(_CONNECT_WITHIN)
            .timeout(_ANSWER_WITHIN)
            .build()
        )

    async def run(self) -> None:
        """Send until cancelled."""
        loop = asyncio.get_running_loop()

        def told() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        self._sandbox.listeners.append(told)
        try:
            while True:
                await self._start_due()
                with suppress(TimeoutError):
                    async with asyncio.timeout(TICK_S):
                        await self._wake.wait()
        finally:
            self._sandbox.listeners.remove(told)
            posting = list(self._posting.values())
            for task in posting:
                task.cancel()
            await asyncio.gather(*posting, return_exceptions=True)
            await self._client.close()

    async def _start_due(self) -> None:
        self._wake.clear()
        try:
            due = await asyncio.to_thread(self._due, frozenset(self._posting))
        except Exception:  # noqa: BLE001 - the next turn does what this one left
            _log.exception("sandbox.webhooks_failed")
            return
        for receiver, batch in due.items():
            self._posting[receiver] = asyncio.create_task(self._post_all(receiver, batch))

    def _due(self, busy: frozenset[str]) -> dict[str, list[Due]]:
        with self._sandbox.store.transaction():
            report_errors(self._sandbox)
            return deliveries.due(self._sandbox.store, now_ms=self._sandbox.machine_ms(), busy=busy)

    async def _post_all(self, receiver: str, batch: list[Due]) -> None:
        try:
            outcomes = await asyncio.gather(*(self._post(due) for due in batch))
            await asyncio.to_thread(self._record, outcomes)
        except Exception:  # noqa: BLE001 - what is not written down is sent again
            _log.exception("sandbox.webhooks_failed")
        finally:
            del self._posting[receiver]
            self._wake.set()

    def _record(self, outcomes: list[Outcome]) -> None:
        with self._sandbox.store.transaction():
            deliveries.record(self._sandbox.store, outcomes, now_ms=self._sandbox.machine_ms())

    async def _post(self, due: Due) -> Outcome:
        # A receiver judges the signature's age by the true time, whatever time the account has.
        at_s = self._sandbox.machine_ms() // 1_000
        headers = _HEADERS | {"stripe-signature": deliveries.signature(due.body, due.secrets, at_s=at_s)}
        try:
            request = self._client.post(due.url).headers(headers).body_bytes(due.body).build()
            response = await request.send()
        except (RequestError, ValueError) as error:
            return Outcome(place=due.place, status=None, error=f"the receiver did not answer: {type(error).__name__}")
        return Outcome(place=due.place, status=response.status, error=None)
