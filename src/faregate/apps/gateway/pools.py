"""Leases in memory: which units are idle, held, used or given back.

No I/O and no clock: holding from here takes microseconds. A unit of a lease is at any time in one of four places: idle,
held by a call in flight, used by a settled call, returned.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from faregate.wire.gateway_protocol import Lease, LeaseReturn

BURN_WINDOW_MS: Final = 2_000
"""A gateway keeps about what a pool burned in this time at hand."""

_HOLDING_PERCENT: Final = 80
_MANY_CALLS: Final = 8
"""Calls within the window from which on units are asked for ahead: who calls seldom asks a call at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceNeed:
    """How a call uses one price: units per input and per output token, summed over the price's meters."""

    price_id: str
    per_input: int
    per_output: int


class Want:
    """A call's bound in tokens. `least_output` <= `output`; held output is a multiple of `choices`."""

    __slots__ = ("choices", "input", "least_output", "needs", "occurred_at", "output")

    def __init__(
        self,
        *,
        needs: tuple[PriceNeed, ...],
        input: int,  # noqa: A002 - the units' name everywhere
        output: int,
        least_output: int,
        choices: int,
        occurred_at: datetime,
    ) -> None:
        self.needs = needs
        self.input = input
        self.output = output
        self.least_output = least_output
        self.choices = choices
        self.occurred_at = occurred_at


class LeasedUnits:
    """One lease and where its units are. `returned`: a running total; `acknowledged`: what the ledger knows of it.

    `lease_json` and `price_json`: its names as JSON, for the records of its calls.
    """

    __slots__ = (
        "_period_end",
        "_period_start",
        "acknowledged",
        "held",
        "idle",
        "lease",
        "lease_json",
        "price_json",
        "returned",
        "stop_at_ms",
    )

    def __init__(self, lease: Lease, *, asked_at_ms: int) -> None:
        self.lease = lease
        self.lease_json = msgspec.json.encode(lease.lease_id)
        self.price_json = msgspec.json.encode(lease.price_id)
        self._period_start = lease.period_start
        self._period_end = lease.period_end
        self.idle = lease.units
        self.held = 0
        self.returned = 0
        self.acknowledged = 0
        self.stop_at_ms = asked_at_ms + lease.duration_ms * _HOLDING_PERCENT // 100

    def serves(self, now_ms: int, occurred_at: datetime) -> bool:
        """Return whether a call of that time may hold from the lease now."""
        return now_ms < self.stop_at_ms and self._period_start <= occurred_at < self._period_end


class HeldUnits:
    """Units of one lease that a call holds, `count` of them."""

    __slots__ = ("count", "need", "units")

    def __init__(self, units: LeasedUnits, need: PriceNeed, count: int) -> None:
        self.units = units
        self.need = need
        self.count = count


class Pool:
    """The leases of one price of one account, oldest first, and how fast they burn. `taken`: all that was ever held."""

    __slots__ = ("_burn", "_since_ms", "_taken_before", "leases", "taken")

    def __init__(self, now_ms: int) -> None:
        self.leases: list[LeasedUnits] = []
        self.taken = 0
        self._since_ms = now_ms
        self._taken_before = 0
        self._burn = 0

    def idle(self, now_ms: int, occurred_at: datetime, *, enough: int = sys.maxsize) -> int:
        """Return the units a call of that time may hold now; at `enough` the counting ends."""
        total = 0
        for units in self.leases:
            if units.idle and units.serves(now_ms, occurred_at):
                total += units.idle
                if total >= enough:
                    break
        return total

    def take(self, parts: list[HeldUnits], need: PriceNeed, *, count: int, now_ms: int, occurred_at: datetime) -> None:
        """Hold `count` units, oldest lease first, and note them in `parts`; that there are as many was checked."""
        self.taken += count
        for units in self.leases:
            if not count:
                return
            if units.idle and units.serves(now_ms, occurred_at):
                taken = min(count, units.idle)
                units.idle -= taken
                units.held += taken
                parts.append(HeldUnits(units, need, taken))
                count -= taken

    def recent_burn(self, now_ms: int) -> int:
        """Return about what is held in two seconds, by what was held since this was last asked."""
        age_ms = now_ms - self._since_ms
        held = self.taken - self._taken_before
        if age_ms < BURN_WINDOW_MS:
            return max(held, self._burn)
        self._burn = held * BURN_WINDOW_MS // age_ms
        self._since_ms, self._taken_before = now_ms, self.taken
        return self._burn


class Hold:
    """What one call holds. `output` is the bound its upstream request must be limited to. Settled once.

    `clamped`: that is less than was wanted.
    """

    __slots__ = ("account", "beyond", "clamped", "output", "parts", "uncovered")

    def __init__(self, account: Account, output: int, parts: list[HeldUnits]) -> None:
        self.account = account
        self.output = output
        self.parts = parts
        self.clamped = False
        self.beyond = 0
        self.uncovered = 0

    def absorb(self, other: Hold) -> None:
        """Take over what another hold of the same subscription has: both are settled as one.

        The other's account may be a later one: a restored ledger has the gateway begin anew while calls run on.
        """
        for part in other.parts:
            own = next((own for own in reversed(self.parts) if own.units is part.units), None)
            if own is None:
                self.parts.append(part)
            else:
                own.count += part.count
        self.output += other.output
        other.parts = []
        other.account.in_flight -= 1

    def settle(self, used: dict[str, int]) -> dict[LeasedUnits, int]:
        """Give back what was not used and return the units drawn from each lease.

        `used`: units by price; prices that the hold has no part of are left out. What goes `beyond` the held units is
        drawn from idle ones of the same price, as far as there are any; the ledger debits the rest without a lease:
        `uncovered`.
        """
        drawn: dict[LeasedUnits, int] = {}
        for part in self.parts:
            units, price_id, count = part.units, part.need.price_id, part.count
            wanted = used.get(price_id, 0)
            taken = min(count, wanted)
            units.held -= count
            units.idle += count - taken
            if taken:
                used[price_id] = wanted - taken
                drawn[units] = taken
        if any(used.values()):
            self._draw_beyond(used, drawn)
        self.parts = []
        self.account.in_flight -= 1
        return drawn

    def _draw_beyond(self, used: dict[str, int], drawn: dict[LeasedUnits, int]) -> None:
        held = {part.need.price_id for part in self.parts}
        for price_id, beyond in used.items():
            if beyond > 0 and price_id in held:
                self.beyond += beyond
                self.uncovered += self._draw_idle(price_id, beyond, drawn)

    def _draw_idle(self, price_id: str, count: int, drawn: dict[LeasedUnits, int]) -> int:
        pool = self.account.pools.get(price_id)
        for units in pool.leases if pool is not None else ():
            taken = min(count, units.idle)
            if taken:
                units.idle -= taken
                drawn[units] = drawn.get(units, 0) + taken
                count -= taken
        return count


class Account:
    """The pools of one subscription, by price, and how many of its calls hold from them.

    `final`: the account's credit ends with about what was leased here last, so that each call may end it.
    """

    __slots__ = ("final", "in_flight", "last_used_ms", "last_want", "pools", "subscription_id")

    def __init__(self, subscription_id: str) -> None:
        self.subscription_id = subscription_id
        self.pools: dict[str, Pool] = {}
        self.in_flight = 0
        self.last_used_ms = 0
        self.last_want: Want | None = None
        self.final = False

    def hold(self, want: Want, now_ms: int, *, least: int) -> Hold | None:
        """Hold the input's bound and as much output as there is, at least `least`; None where there is less."""
        output = want.output
        parts = self._take_from_oldest(want, now_ms)
        if parts is None:
            output = self.affordable_output(want, now_ms)
            if output < least:
                return None
            parts = []
            for need in want.needs:
                count = need.per_input * want.input + need.per_output * output
                pool = self.pools.get(need.price_id)
                if pool is not None:
                    pool.take(parts, need, count=count, now_ms=now_ms, occurred_at=want.occurred_at)
        self.in_flight += 1
        self.last_used_ms = now_ms
        self.last_want = want
        hold = Hold(self, output, parts)
        if output != want.output:
            hold.clamped = True
        return hold

    def _take_from_oldest(self, want: Want, now_ms: int) -> list[HeldUnits] | None:
        """Hold the whole bound where the oldest lease of every price has enough, as nearly always; else nothing."""
        occurred_at, pools = want.occurred_at, self.pools
        tokens_in, tokens_out = want.input, want.output
        parts = []
        for need in want.needs:
            pool = pools.get(need.price_id)
            if pool is None:
                return None
            count = need.per_input * tokens_in + need.per_output * tokens_out
            for units in pool.leases:
                if units.idle:
                    break
            else:
                return None
            if units.idle < count or not units.serves(now_ms, occurred_at):
                return None
            parts.append(HeldUnits(units, need, count))
        for part in parts:
            units, count = part.units, part.count
            units.idle -= count
            units.held += count
            pools[part.need.price_id].taken += count
        return parts

    def add(self, leases: Sequence[Lease], *, asked_at_ms: int, now_ms: int) -> None:
        """Put granted leases at hand."""
        self.last_used_ms = now_ms
        self._forget_spent()
        for lease in leases:
            if lease.units:
                pool = self.pools.get(lease.price_id)
                if pool is None:
                    pool = self.pools[lease.price_id] = Pool(asked_at_ms)
                pool.leases.append(LeasedUnits(lease, asked_at_ms=asked_at_ms))

    def affordable_output(self, want: Want, now_ms: int) -> int:
        """Return the output all prices have units for, a multiple of the choices; -1: not even the input."""
        output = want.output
        for need in want.needs:
            pool = self.pools.get(need.price_id)
            floor = need.per_input * want.input
            enough = floor + need.per_output * want.output
            idle = pool.idle(now_ms, want.occurred_at, enough=enough) if pool is not None else 0
            if idle >= enough:
                continue
            left = idle - floor
            if left < 0:
                return -1
            if need.per_output:
                output = min(output, left // need.per_output)
        return output if output == want.output else output // want.choices * want.choices

    def runs_low(self, now_ms: int) -> Want | None:
        """Return what is wanted of an account with many calls whose units at hand last for less than a second."""
        want = self.last_want
        if want is None:
            return None
        for need in want.needs:
            pool = self.pools.get(need.price_id)
            burn = pool.recent_burn(now_ms) if pool is not None else 0
            call = need.per_input * want.input + need.per_output * want.output
            if pool is None or burn < _MANY_CALLS * call:
                continue
            enough = burn // 2
            if pool.idle(now_ms, want.occurred_at, enough=enough) < enough:
                return want
        return None

    def has_leases(self) -> bool:
        """Return whether any lease has something left to follow."""
        return any(pool.leases for pool in self.pools.values())

    def idle_units(self) -> bool:
        """Return whether any lease has units that no call holds."""
        return any(units.idle for pool in self.pools.values() for units in pool.leases)

    def give_back(self, now_ms: int, *, everything: bool) -> list[LeaseReturn]:
        """Take idle units out of the leases: of all, or of those that may not be held from any more.

        Also names again what was given back without an acknowledgement.
        """
        returns = []
        for pool in self.pools.values():
            for units in pool.leases:
                if everything or now_ms >= units.stop_at_ms:
                    units.returned += units.idle
                    units.idle = 0
                if units.returned != units.acknowledged:
                    returns.append(LeaseReturn(lease_id=units.lease.lease_id, returned_units=units.returned))
        return returns

    def acknowledge(self, returns: Sequence[LeaseReturn]) -> None:
        """Note that the ledger has those returns, and forget leases that have nothing left to follow."""
        totals = {entry.lease_id: entry.returned_units for entry in returns}
        for pool in self.pools.values():
            for units in pool.leases:
                units.acknowledged = totals.get(units.lease.lease_id, units.acknowledged)
        self._forget_spent()

    def outstanding(self) -> int:
        """Return the units idle or held."""
        return sum(units.idle + units.held for pool in self.pools.values() for units in pool.leases)

    def _forget_spent(self) -> None:
        for pool in self.pools.values():
            pool.leases = [
                units for units in pool.leases if units.idle or units.held or units.returned != units.acknowledged
            ]
