"""What a call cost, for the headers of its answer: asked of the ledger after the call is settled, before it is sent.

Only on routes that say `answer_cost`: the answer waits for its event to be shipped and applied, some hundredths of a
second. It never waits for long, and goes without these headers where the ledger does not say in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.headers import Headers
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.base.errors import InvalidInput, NotFound, Unauthorized, Unavailable
from faregate.wire.caller_questions import AsOf, CallCostView, CostQuestion
from faregate.wire.gateway_protocol import KeyState

_log = structlog.get_logger(__name__)

COST: Final = "x-faregate-cost"
CURRENCY: Final = "x-faregate-currency"
BALANCE: Final = "x-faregate-balance"
NAMES: Final = frozenset((COST, CURRENCY, BALANCE))
_WITHIN_MS: Final = 500
_MILLISECONDS: Final = 1_000


class CallCosts:
    """Asks what calls cost. `as_of`: the last event that was written here; `waiting`: answers that wait for theirs."""

    def __init__(self, control_plane: ControlPlane, *, as_of: Callable[[], AsOf], metrics: GatewayMetrics) -> None:
        self._control_plane = control_plane
        self._as_of = as_of
        self._metrics = metrics
        self.waiting = 0

    async def headers(self, request_id: str, key: KeyState) -> Headers:
        """Return the headers that say what a settled call cost and, prepaid, what is left; none where nobody says.

        A call that is cut while it waits is answered without: it is billed already.
        """
        question = CostQuestion(
            application_id=key.application_id,
            company_id=key.company_id,
            as_of=msgspec.structs.replace(self._as_of(), within_ms=_WITHIN_MS),
            request_id=request_id,
        )
        self.waiting += 1
        try:
            async with asyncio.timeout(2 * _WITHIN_MS / _MILLISECONDS):
                cost = await self._control_plane.ask("/costs", question, CallCostView)
        except asyncio.CancelledError:
            return []
        except (TimeoutError, InvalidInput, NotFound, Unavailable, Unauthorized) as error:
            self._metrics.costs_unknown += 1
            _log.warning("cost.unknown", request_id=request_id, error=str(error))
            return []
        finally:
            self.waiting -= 1
        if cost.cost is None or cost.currency is None:
            return []
        headers = [(COST, cost.cost), (CURRENCY, cost.currency)]
        return headers if cost.balance is None else [*headers, (BALANCE, cost.balance)]
