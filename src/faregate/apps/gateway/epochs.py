"""The epochs of a gateway process: one from its start, another whenever the ledger has been restored.

An epoch fences every earlier one. When what the earlier ones spooled is shipped, what they held is freed. After a
restore the ledger knows nothing of the leases in hand: nothing more is held from them, events that it lost are shipped
again as far as the spool keeps them, and the process goes on under a new epoch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from faregate.apps.gateway.control_plane import ControlPlane
from faregate.apps.gateway.holding import Holding
from faregate.apps.gateway.settlement import Settlement
from faregate.apps.gateway.shipping import Backoff, Shipper
from faregate.apps.gateway.spool import Spool
from faregate.base.errors import Unauthorized, Unavailable
from faregate.base.failpoints import EARLIER_RELEASED, EPOCH_OPENED, reach
from faregate.wire.gateway_epochs import ReleaseEarlierEpochs

_log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.1

_Answer = TypeVar("_Answer")


class Epochs:
    """`settled_before`: the last sequence number of what earlier processes left, which is all in the spool."""

    def __init__(
        self,
        control_plane: ControlPlane,
        *,
        spool: Spool,
        shipper: Shipper,
        holding: Holding,
        settlement: Settlement,
        settled_before: int,
    ) -> None:
        self._control_plane = control_plane
        self._spool = spool
        self._shipper = shipper
        self._holding = holding
        self._settlement = settlement
        self._settled_before = settled_before
        self._generation: int | None = None
        self._heard = asyncio.Event()
        self._opened_in = 0
        self.epoch: int | None = None

    def hear(self, generation: int) -> None:
        """Say which generation of the ledger the state is of."""
        self._generation = generation
        self._heard.set()

    async def run(self) -> None:
        """Open an epoch, free what earlier ones held, and begin anew when the ledger was restored; until cancelled."""
        await self._open()
        await self._release(self._settled_before)
        while True:
            await self._restored()
            _log.error("ledger.was_restored", generation=self._generation)
            left = self._holding.forget()
            await self._open()
            while any(account.in_flight for account in left):  # noqa: ASYNC110 - calls end in many places
                await asyncio.sleep(_LOOK_EVERY_S)
            await self._release(self._spool.next_sequence - 1)

    async def _open(self) -> None:
        opened = await _answered(
            lambda: self._control_plane.open_epoch(self._spool.gateway_id, self.epoch or 0), "epoch.open_failed"
        )
        self.epoch, self._opened_in = opened.epoch, opened.generation
        self._settlement.open_epoch(opened.epoch)
        if opened.applied_sequence is not None:
            self._shipper.ship_again(opened.applied_sequence)
        reach(EPOCH_OPENED)

    async def _release(self, through: int) -> None:
        """Say that of earlier epochs nothing is unsettled, once all up to that sequence number is shipped."""
        await self._shipper.shipped_through(through)
        release = ReleaseEarlierEpochs(
            gateway_id=self._spool.gateway_id, epoch=self.epoch or 0, through_sequence=through
        )
        await _answered(lambda: self._control_plane.release(release), "epoch.release_failed")
        reach(EARLIER_RELEASED)

    async def _restored(self) -> None:
        while self._generation is None or self._generation == self._opened_in:
            self._heard.clear()
            await self._heard.wait()


async def _answered(ask: Callable[[], Awaitable[_Answer]], failed: str) -> _Answer:
    """Return the control plane's answer, however often it must be asked; `failed` is logged each other time."""
    backoff = Backoff()
    while True:
        try:
            return await ask()
        except (Unavailable, Unauthorized) as error:
            _log.warning(failed, error=str(error))
        await backoff.wait()
