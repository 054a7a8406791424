"""A hold on grants: taken in burn order, settled once for what was used, the rest back to where it was taken last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from faregate.domain.ledger.burning import Burn, Grant, burn, restore


class HoldEnd(StrEnum):
    """How a hold can end; after that, nothing moves it."""

    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Credit held for one call, by grant in the order in which it was taken; `end` is None while it is open."""

    burns: tuple[Burn, ...]
    end: HoldEnd | None = None

    @property
    def amount(self) -> int:
        """Return what is held."""
        return sum(taken.amount for taken in self.burns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The balances after a step of a hold, and the hold. `overage`: what settling could not find in any grant."""

    balances: Mapping[str, int]
    hold: Hold
    overage: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Insufficient:
    """Nothing is held: `missing` more would be needed."""

    missing: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Nothing moved: the hold had ended before."""

    end: HoldEnd


def place_hold(order: Sequence[Grant], balances: Mapping[str, int], amount: int) -> Held | Insufficient:
    """Hold an amount, all of it or nothing. Where there is no grant, only a hold of nothing can be placed."""
    burns, missing = burn(order, balances, amount)
    if missing > 0:
        return Insufficient(missing=missing)
    return Held(balances=_moved(balances, burns, sign=-1), hold=Hold(burns=tuple(burns)))


def settle_hold(held: Held, order: Sequence[Grant], used: int) -> Held | Ended:
    """Charge what was used and give back the rest; more than was held burns on, and beyond every grant is overage."""
    if held.hold.end is not None:
        return Ended(end=held.hold.end)
    if used <= held.hold.amount:
        kept, back = restore(held.hold.burns, held.hold.amount - used)
        return Held(balances=_moved(held.balances, back, sign=1), hold=Hold(burns=tuple(kept), end=HoldEnd.SETTLED))
    more, overage = burn(order, held.balances, used - held.hold.amount)
    return Held(
        balances=_moved(held.balances, more, sign=-1),
        hold=Hold(burns=(*held.hold.burns, *more), end=HoldEnd.SETTLED),
        overage=overage,
    )


def end_hold(held: Held, end: HoldEnd) -> Held | Ended:
    """Give everything back: the call was not made, or its hold ran out before anything was settled."""
    if held.hold.end is not None:
        return Ended(end=held.hold.end)
    return Held(balances=_moved(held.balances, held.hold.burns, sign=1), hold=Hold(burns=(), end=end))


def _moved(balances: Mapping[str, int], burns: Sequence[Burn], *, sign: int) -> dict[str, int]:
    moved = dict(balances)
    for taken in burns:
        moved[taken.grant_id] = moved.get(taken.grant_id, 0) + sign * taken.amount
    return moved
