"""How a lease request is answered: all prices together, or none."""

from __future__ import annotations

from dataclasses import dataclass

from faregate.domain.ledger.reserve import PriceUse, affordable_units, further_cost, is_affordable


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitNeed:
    """What one call and its gateway want of one price: `floor` <= `call` <= `slice`, in units.

    `floor`: below it the call is refused. `call`: the call's bound. `slice`: what the gateway would like to keep.
    """

    use: PriceUse
    floor: int
    call: int
    slice: int


def share_out(needs: list[UnitNeed], *, available: int, gateways: int = 1) -> list[int] | None:
    """Return the units granted per need, in order, or None where the floors together cost more than `available`.

    Each need is of another price: two needs of one price would both count the same open package as theirs.
    The calls' bounds come before the gateway's slices. Of what they leave, the slices of one gateway take half of an
    equal share among `gateways` at most: every other must find credit too.
    """
    left = max(available, 0)
    for need in needs:
        if not is_affordable(need.use, need.floor, budget=left):
            return None
        left -= further_cost(need.use, need.floor)
    granted = [need.floor for need in needs]
    for targets, divisor in (([need.call for need in needs], 1), ([need.slice for need in needs], 2 * gateways)):
        for index, (need, target) in enumerate(zip(needs, targets, strict=True)):
            grown = need.use.with_more(granted[index])
            more = affordable_units(grown, budget=left // divisor, most=max(0, target - granted[index]))
            left -= further_cost(grown, more)
            granted[index] += more
    return granted


def is_final(needs: list[UnitNeed], granted: list[int], *, available: int) -> bool:
    """Return whether credit ends with about what was granted: as much again would not be affordable."""
    left = available - sum(further_cost(need.use, units) for need, units in zip(needs, granted, strict=True))
    for need, units in zip(needs, granted, strict=True):
        grown = need.use.with_more(units)
        if units < need.slice or not is_affordable(grown, units, budget=left):
            return True
        left -= further_cost(grown, units)
    return False
