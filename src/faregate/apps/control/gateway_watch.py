"""Watches gateways: keeps when each was last there, and sees to those that do not come back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import structlog

from faregate.apps.control.state_feed import StateFeed
from faregate.base.clock import Clock
from faregate.base.money import currency, from_ledger_units
from faregate.domain.ledger.lost_units import LostUnits
from faregate.services.lost_gateways import GatewayStanding, find_lost, settle_lost
from faregate.storage.database import Database, Transaction
from faregate.storage.gateways import note_heard
from faregate.storage.overspend import sum_overspend

_log: Final = structlog.stdlib.get_logger()

WATCH_EVERY_S: Final = 10.0


class GatewayWatch:
    """Looks about every ten seconds. `lost`: the gateways that hold units and are lost, as of the last look."""

    def __init__(
        self, *, database: Database, feed: StateFeed, clock: Clock, grace: timedelta, policy: LostUnits
    ) -> None:
        self._database = database
        self._feed = feed
        self._clock = clock
        self._grace = grace
        self._policy = policy
        self._alarmed: set[str] = set()
        self.lost: list[GatewayStanding] = []
        self.overspent: dict[tuple[str, str], Decimal] = {}
        """What prepaid accounts spent beyond their credit, by cause and currency, in major units; at the last look."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - the next look does what this one left
                _log.exception("gateways.watch_failed")
            await asyncio.sleep(WATCH_EVERY_S)

    async def look(self) -> None:
        """Keep who is there; do with the units of those who are lost as the policy says."""
        here = self._feed.gateway_ids()
        self.lost = await self._database.write(lambda tx: self._look(tx, here))
        self.overspent = await self._database.read(_overspent)
        for standing in self.lost:
            gateway_id = standing.row.gateway_id
            if gateway_id not in self._alarmed:
                _log.error(
                    "gateway.lost",
                    gateway_id=gateway_id,
                    seen_at=standing.row.seen_at.isoformat(),
                    units=standing.units,
                    suspended=dict(standing.suspended),
                    policy=self._policy.value,
                )
        self._alarmed = {standing.row.gateway_id for standing in self.lost}
        if self._policy is LostUnits.KEEP:
            return
        for standing in self.lost:
            settle = partial(settle_lost, clock=self._clock, gateway_id=standing.row.gateway_id, units=self._policy)
            await self._database.write(settle)
            _log.warning("gateway.settled", gateway_id=standing.row.gateway_id, policy=self._policy.value)
        self.lost = []

    def suspended(self) -> Mapping[str, Decimal]:
        """Return the money that lost gateways hold, by currency, in major units."""
        sums: dict[str, Decimal] = {}
        for standing in self.lost:
            for code, amount in standing.suspended.items():
                sums[code] = sums.get(code, Decimal(0)) + Decimal(amount)
        return sums

    def _look(self, transaction: Transaction, here: set[str]) -> list[GatewayStanding]:
        now = self._clock.now()
        note_heard(transaction, here, at=now)
        return find_lost(transaction, wall_now=now, grace=self._grace)


def _overspent(transaction: Transaction) -> dict[tuple[str, str], Decimal]:
    found = sum_overspend(transaction).items()
    return {(cause, code): from_ledger_units(amount, currency(code)) for (cause, code), amount in found}
