"""The gateway's own paths for callers: what would this call cost, what credit is left, what was used.

They stand before every route and every rule: who is blocked asks just this. The answers come from the control plane,
which alone has prices; without it there is none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs

import msgspec
from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope

from faregate.apps.gateway import answers
from faregate.apps.gateway.asking_rate import AskingRate
from faregate.apps.gateway.bodies import read_body
from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.quoting import Quoting
from faregate.apps.gateway.state import GatewayState
from faregate.base.errors import InvalidInput, NotFound, Unauthorized, Unavailable
from faregate.wire.api.common import decode_body
from faregate.wire.caller_questions import (
    AsOf,
    BalanceQuestion,
    BalancesView,
    CallCostView,
    CostQuestion,
    PeriodUsageView,
    QuoteRequest,
    UsageQuestion,
)
from faregate.wire.gateway_protocol import KeyState

QUOTE: Final = "/v1/quote"
BALANCE: Final = "/v1/balance"
USAGE: Final = "/v1/usage"
_METHODS: Final = {QUOTE: "POST", BALANCE: "GET", USAGE: "GET"}
_QUOTE_AROUND_BYTES: Final = 4_096
"""What a quote's body may have around the request that it is about."""


class CallerPaths:
    """Answers `/v1/quote`, `/v1/balance` and `/v1/usage`. `as_of` names the last event that was written here."""

    def __init__(
        self,
        *,
        state: GatewayState,
        control_plane: ControlPlane,
        quoting: Quoting,
        rate: AskingRate,
        as_of: Callable[[], AsOf],
    ) -> None:
        self._state = state
        self._control_plane = control_plane
        self._quoting = quoting
        self._rate = rate
        self._as_of = as_of
        self._answers: Mapping[str, Callable[[KeyState, Scope, HTTPProtocol], Awaitable[bytes]]] = {
            QUOTE: self._quote,
            BALANCE: self._balance,
            USAGE: self._usage,
        }
        self.waiting = 0
        """Questions that wait for an answer: what they count is shipped at once."""

    def answers(self, path: str) -> bool:
        """Return whether the path is one of these rather than a route's."""
        return path in _METHODS

    async def answer(self, key: KeyState, scope: Scope, protocol: HTTPProtocol, *, request_id: str) -> None:
        """Answer one question of a key's company; raises `Refusal`."""
        if scope.method != _METHODS[scope.path]:
            raise answers.method_not_allowed(_METHODS[scope.path])
        wait_s = self._rate.wait_s(key.company_id)
        if wait_s:
            raise answers.asked_too_often(wait_s)
        self.waiting += 1
        try:
            body = await self._answers[scope.path](key, scope, protocol)
        except InvalidInput as error:
            raise answers.invalid_request(error) from None
        except (NotFound, Unavailable, Unauthorized) as error:
            raise answers.CREDIT_UNKNOWN from error
        except ProtocolClosed:
            return
        finally:
            self.waiting -= 1
        headers = [("content-type", "application/json"), ("cache-control", "no-store"), ("x-request-id", request_id)]
        protocol.response_bytes(200, headers, body)

    async def _quote(self, key: KeyState, scope: Scope, protocol: HTTPProtocol) -> bytes:
        named = dict(scope.headers.items())
        most_bytes = self._state.most_request_bytes() + _QUOTE_AROUND_BYTES
        asked = decode_body(await read_body(protocol, named, most_bytes), QuoteRequest)
        return msgspec.json.encode(await self._quoting.quote(key, asked, as_of=self._as_of()))

    async def _balance(self, key: KeyState, scope: Scope, protocol: HTTPProtocol) -> bytes:
        del scope, protocol
        question = BalanceQuestion(application_id=key.application_id, company_id=key.company_id, as_of=self._as_of())
        return msgspec.json.encode(await self._control_plane.ask("/balances", question, BalancesView))

    async def _usage(self, key: KeyState, scope: Scope, protocol: HTTPProtocol) -> bytes:
        del protocol
        query = {name: values[-1] for name, values in parse_qs(scope.query_string).items()}
        request_id = query.get("request_id")
        if request_id is not None:
            of_call = CostQuestion(
                application_id=key.application_id,
                company_id=key.company_id,
                as_of=self._as_of(),
                request_id=request_id,
            )
            try:
                return msgspec.json.encode(await self._control_plane.ask("/costs", of_call, CallCostView))
            except NotFound:
                raise answers.UNKNOWN_CALL from None
        question = UsageQuestion(
            application_id=key.application_id,
            company_id=key.company_id,
            as_of=self._as_of(),
            from_at=_day(query, "from"),
            to_at=_day(query, "to"),
        )
        return msgspec.json.encode(await self._control_plane.ask("/usage", question, PeriodUsageView))


def _day(query: Mapping[str, str], name: str) -> datetime | None:
    """Return a day or instant of the query in UTC, None where it is not given."""
    text = query.get(name)
    if text is None:
        return None
    try:
        # A `+` of an offset comes as a blank unless it was escaped.
        instant = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise InvalidInput.of(name, "must be a day such as 2026-03-01") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
