"""Lease requests on their way to the ledger: repeated until they are answered, or given up so that nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import structlog

from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.metrics import GatewayMetrics
from faregate.base.errors import Unauthorized, Unavailable
from faregate.base.ids import IdSource
from faregate.wire.gateway_protocol import LeaseAnswer, LeaseRequest, LeaseReturn, Refused, UnitRequest

_log = structlog.get_logger(__name__)

ATTEMPTS: Final = 3
_BACKOFF_S: Final = 0.05
_MOST_GIVEN_UP: Final = 100
"""Requests whose answers never came that are named in one message."""


class LeaseRequests:
    """Sends requests of one gateway process. `identity` gives gateway id and epoch, or None while no epoch is open."""

    def __init__(
        self,
        control_plane: ControlPlane,
        *,
        identity: Callable[[], tuple[str, int] | None],
        new_id: IdSource,
        metrics: GatewayMetrics,
    ) -> None:
        self._control_plane = control_plane
        self._identity = identity
        self._new_id = new_id
        self._metrics = metrics
        self._given_up: list[str] = []
        self._fenced_epoch: int | None = None

    @property
    def fenced(self) -> bool:
        """Return whether another process opened a later epoch of this gateway: nothing more is granted to this one."""
        identity = self._identity()
        return identity is not None and identity[1] == self._fenced_epoch

    @property
    def has_given_up(self) -> bool:
        """Return whether the ledger is to hear of requests that nobody waits for any more."""
        return bool(self._given_up)

    async def send(
        self,
        returns: list[LeaseReturn],
        *,
        subscription_id: str = "",
        occurred_at: datetime | None = None,
        units: Sequence[UnitRequest] = (),
    ) -> LeaseAnswer | None:
        """Return the answer; None where the ledger cannot be asked."""
        identity = self._identity()
        if identity is None or (self.fenced and units):
            return None
        given_up = self._given_up[:_MOST_GIVEN_UP]
        request = LeaseRequest(
            lease_request_id=self._new_id("lrq"),
            gateway_id=identity[0],
            epoch=identity[1],
            returns=returns,
            subscription_id=subscription_id,
            occurred_at=occurred_at,
            units=list(units),
            given_up=given_up,
        )
        self._metrics.lease_requests += 1
        for attempt in range(ATTEMPTS):
            try:
                answer = await self._control_plane.lease(request)
            except (Unavailable, Unauthorized) as error:
                _log.warning("lease.request_failed", attempt=attempt, error=str(error))
                await asyncio.sleep(_BACKOFF_S * 2**attempt * (0.5 + random.random()))  # noqa: S311 - jitter
                continue
            if answer.refused is Refused.FENCED:
                self._fence(request.epoch)
            self._given_up = [one for one in self._given_up if one not in given_up]
            if attempt and units and answer.refused is not None:
                # An earlier attempt may still be under way, and find credit when it arrives.
                self._given_up.append(request.lease_request_id)
            return answer
        if units:
            self._given_up.append(request.lease_request_id)
        return None

    def _fence(self, epoch: int) -> None:
        if self._fenced_epoch != epoch:
            self._fenced_epoch = epoch
            _log.error("gateway.was_fenced", reason="another process opened a later epoch of this gateway")
