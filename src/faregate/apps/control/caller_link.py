"""`/gateway/v1`: what gateways ask on behalf of their callers (`wire/caller_questions.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from msgspec import Struct

from faregate.apps.control.applying import Applying
from faregate.apps.control.asgi import Answer, Request, json_answer
from faregate.apps.control.gateway_link import GatewayLink, read_question
from faregate.base.clock import Clock
from faregate.services.caller_readings import read_balances, read_call_cost, read_period_usage
from faregate.services.quotes import quote_call
from faregate.storage.database import Database, Transaction
from faregate.storage.leases import has_applied
from faregate.wire.caller_questions import AsOf, BalanceQuestion, CostQuestion, QuoteQuestion, UsageQuestion

T = TypeVar("T")

_LONGEST_WAIT_MS: Final = 4_000
"""How long an answer waits for the events that it should count at the most; then it goes without them."""

_MILLISECONDS: Final = 1_000


class CallerLink:
    """Answers gateways that know the gateway token; nothing is changed."""

    def __init__(self, *, database: Database, clock: Clock, applying: Applying, link: GatewayLink) -> None:
        self._database = database
        self._clock = clock
        self._applying = applying
        self._link = link

    async def quote(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/quotes`."""
        question = await self._read(request, QuoteQuestion)
        return await self._answer(question.as_of, lambda tx: quote_call(tx, question))

    async def balances(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/balances`."""
        question = await self._read(request, BalanceQuestion)
        return await self._answer(question.as_of, lambda tx: read_balances(tx, question, self._clock))

    async def usage(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/usage`."""
        question = await self._read(request, UsageQuestion)
        return await self._answer(question.as_of, lambda tx: read_period_usage(tx, question, self._clock))

    async def cost(self, request: Request) -> Answer:
        """Answer `POST /gateway/v1/costs`; 404 where the call is unknown, or not applied in time."""
        question = await self._read(request, CostQuestion)
        return await self._answer(question.as_of, lambda tx: read_call_cost(tx, question))

    async def _read(self, request: Request, kind: type[T]) -> T:
        self._link.authorize(request)
        return await read_question(request, kind)

    async def _answer(self, as_of: AsOf, read: Callable[[Transaction], Struct]) -> Answer:
        within_s = min(max(as_of.within_ms, 0), _LONGEST_WAIT_MS) / _MILLISECONDS
        await self._applying.reach(lambda tx: has_applied(tx, as_of.gateway_id, as_of.sequence), within_s)
        return json_answer(await self._database.read(read))
