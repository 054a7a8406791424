"""Kills a random process at random moments, starts it again at once, and writes down what the ledger kept from whom."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from bench.calling import read_metrics
from bench.children import Child, wait_until
from bench.overspend.fleet import Fleet
from bench.overspend.market import Market
from bench.overspend.records import Kill
from bench.stack import READY

_FREED_WITHIN_S: Final = 60.0
_NAMED_WITHIN_S: Final = 2.0
"""Gateways name what they gave up with their next message, once a second at least."""

_CONTROL_PLANE_PART: Final = 0.25


class _Identity(Struct, frozen=True):
    gateway_id: str


class Killer:
    """Kills and restarts, one process at a time."""

    def __init__(self, fleet: Fleet, market: Market, *, chance: random.Random) -> None:
        self.kills: list[Kill] = []
        self._fleet = fleet
        self._market = market
        self._chance = chance

    def plan(self, count: int, *, over_s: float) -> list[tuple[float, Child]]:
        """Return so many moments, in seconds from the start, and whom to kill; each kind comes at least once."""
        width_s = over_s / count
        victims: list[Child] = [self._fleet.control_plane, *self._fleet.gateways[: count - 1]][:count]
        while len(victims) < count:
            gateway = self._chance.choice(self._fleet.gateways)
            victims.append(self._fleet.control_plane if self._chance.random() < _CONTROL_PLANE_PART else gateway)
        self._chance.shuffle(victims)
        return [
            (number * width_s + self._chance.uniform(0.3, 0.9) * width_s, victim)
            for number, victim in enumerate(victims)
        ]

    async def kill(self, victim: Child, show: Callable[[str], None]) -> None:
        """Kill and restart; return when the process answers and the ledger has back what it held."""
        show(f"overspend: kill {len(self.kills) + 1}: {victim.name}")
        self.kills.append(await asyncio.to_thread(self._kill, victim))

    def _kill(self, victim: Child) -> Kill:
        killed_s = time.monotonic()
        victim.kill()
        if victim is self._fleet.control_plane:
            victim.start()
            victim.wait_ready(READY)
            ready_s = time.monotonic()
            wait_until(self._is_followed, within_s=_FREED_WITHIN_S, what="every gateway to follow the state again")
            time.sleep(_NAMED_WITHIN_S)
            return Kill(
                process=victim.name, killed_s=killed_s, ready_s=ready_s, freed_s=time.monotonic(), suspended=None
            )
        gateway_id = self._gateway_id(victim)
        books = self._fleet.books
        epoch = books.epoch(gateway_id)
        suspended = books.suspended(gateway_id, epoch, self._market.meters)
        victim.start()
        victim.wait_ready(READY)
        ready_s = time.monotonic()
        wait_until(
            lambda: books.is_freed(gateway_id, epoch),
            within_s=_FREED_WITHIN_S,
            what=f"what {victim.name} held to be free",
        )
        return Kill(
            process=victim.name,
            killed_s=killed_s,
            ready_s=ready_s,
            freed_s=time.monotonic(),
            suspended=suspended,
        )

    def _is_followed(self) -> bool:
        metrics = read_metrics(self._fleet.control_plane.port)
        return metrics["faregate_state_subscribers"] >= len(self._fleet.gateways)

    def _gateway_id(self, victim: Child) -> str:
        identity = self._fleet.folder / victim.name / "gateway-spool" / "gateway.json"
        return msgspec.json.decode(identity.read_bytes(), type=_Identity).gateway_id
