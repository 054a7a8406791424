"""`/healthz`: the process answers. `/readyz`: it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

import structlog

from faregate.apps.control.applying import Applying
from faregate.apps.control.asgi import Answer, Request, json_answer
from faregate.storage.database import Database, Transaction
from faregate.storage.events import log_head
from faregate.storage.usage_reports import count_reports

T = TypeVar("T")

_log: Final = structlog.stdlib.get_logger()

FAR_BEHIND_EVENTS: Final = 100_000
_DATABASE_S: Final = 2.0


class Health:
    """Ready: the database answers, metering is not failing nor far behind. Migrations ran before we listened."""

    def __init__(self, *, database: Database, applying: Applying) -> None:
        self._database = database
        self._applying = applying

    async def alive(self, request: Request) -> Answer:
        """Answer `GET /healthz`."""
        del request
        return json_answer({"status": "ok"})

    async def ready(self, request: Request) -> Answer:
        """Answer `GET /readyz`: 200, or 503 with what is wrong."""
        del request
        checks = await self.checks()
        is_ready = all(word == "ok" for word in checks.values())
        return json_answer(
            {"status": "ok" if is_ready else "unavailable", "checks": checks},
            HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
        )

    async def checks(self) -> dict[str, str]:
        """Return `ok`, or what is wrong, for each thing that readiness needs."""
        head = await self.log_head()
        if head is None:
            return {"database": "does not answer", "metering": "unknown"}
        behind = head - self._applying.position
        if self._applying.failing:
            metering = "failing; see the log"
        elif behind > FAR_BEHIND_EVENTS:
            metering = f"{behind} events behind"
        else:
            metering = "ok"
        return {"database": "ok", "metering": metering}

    async def unreported_usage(self) -> dict[str, int] | None:
        """Return how many reports of usage the billing provider lacks, by status; None as `log_head`."""
        return await self._read(count_reports)

    async def log_head(self) -> int | None:
        """Return the position of the newest event, None where the database does not answer in time."""
        return await self._read(log_head)

    async def _read(self, read: Callable[[Transaction], T]) -> T | None:
        try:
            async with asyncio.timeout(_DATABASE_S):
                return await self._database.read(read)
        except Exception:  # noqa: BLE001 - not ready, whatever it was
            _log.exception("database.unreachable")
            return None
