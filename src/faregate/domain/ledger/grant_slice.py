"""How a lease request is answered: all prices together, or none (DESIGN, section 7, rules 1 and 13)."""

from __future__ import annotations

from dataclasses import dataclass

from faregate.domain.ledger.reserve import PriceUse, affordable_units, further_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitNeed:
    """What one call and its gateway want of one price: `floor` <= `call` <= `slice`, in units.

    `floor`: below it the call is refused. `call`: the call's bound. `slice`: what the gateway would like to keep at hand.
    """

    use: PriceUse
    floor: int
    call: int
    slice: int


def share_out(needs: list[UnitNeed], *, available: int) -> list[int] | None:
    """Return the units granted per need, in order, or None where the floors together cost more than `available`.

    The calls' bounds come before the gateway's slices, and a slice never takes more than half of what would be left:
    another gateway must find credit too.
    """
    granted = [need.floor for need in needs]
    left = available - sum(further_cost(need.use, need.floor) for need in needs)
    if left < 0 and any(further_cost(need.use, need.floor) for need in needs):
        return None
    left = max(left, 0)
    for target, divisor in ((lambda need: need.call, 1), (lambda need: need.slice, 2)):
        for index, need in enumerate(needs):
            grown = PriceUse(
                price=need.use.price, settled=need.use.settled, outstanding=need.use.outstanding + granted[index]
            )
            more = affordable_units(grown, budget=left // divisor, most=max(0, target(need) - granted[index]))
            left -= further_cost(grown, more)
            granted[index] += more
    return granted
