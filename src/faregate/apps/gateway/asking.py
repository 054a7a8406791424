"""What a gateway asks the ledger for: pure, so that tests of the protocol ask exactly as a gateway does."""

from __future__ import annotations

from collections.abc import Iterable

from faregate.apps.gateway.pools import Account, PriceNeed, Want
from faregate.base.limits import MAX_LEASE_UNITS
from faregate.wire.gateway_protocol import UnitRequest


def units_for_call(
    account: Account, want: Want, *, queued: Iterable[Want], now_ms: int, scarce: bool = False
) -> list[UnitRequest]:
    """Return what a call lacks, and as a slice what the calls queued with it, or the next two seconds, may use.

    Where credit is `scarce` the slice is for the calls that are here alone.
    """
    waiting = list(queued)
    return [_for_call(account, want, need=need, waiting=waiting, now_ms=now_ms, scarce=scarce) for need in want.needs]


def units_ahead(account: Account, want: Want, *, now_ms: int) -> list[UnitRequest]:
    """Return what an account burns in a while, for no call in particular: it may be refused without harm."""
    return [
        UnitRequest(
            price_id=need.price_id, floor=0, call=0, slice=min(_burn(account, need, now_ms=now_ms), MAX_LEASE_UNITS)
        )
        for need in want.needs
    ]


def _for_call(
    account: Account, want: Want, *, need: PriceNeed, waiting: list[Want], now_ms: int, scarce: bool
) -> UnitRequest:
    pool = account.pools.get(need.price_id)
    idle = pool.idle(now_ms, want.occurred_at) if pool is not None else 0
    floor = need.per_input * want.input + need.per_output * want.least_output
    call = need.per_input * want.input + need.per_output * want.output
    queued = sum(need.per_input * one.input + need.per_output * one.output for one in waiting)
    call = min(max(0, call - idle), MAX_LEASE_UNITS)
    burn = 0 if scarce else _burn(account, need, now_ms=now_ms)
    return UnitRequest(
        price_id=need.price_id,
        floor=min(max(0, floor - idle), call),
        call=call,
        slice=min(max(call, burn, queued - idle), MAX_LEASE_UNITS),
    )


def _burn(account: Account, need: PriceNeed, *, now_ms: int) -> int:
    pool = account.pools.get(need.price_id)
    return pool.recent_burn(now_ms) if pool is not None else 0
