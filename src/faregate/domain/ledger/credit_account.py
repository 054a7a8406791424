"""An account's credit, kept grant by grant: what an amount posted takes of which grant, and what time does to grants.

    balance = what remains of all grants - overage

Overage is what no grant has paid; the next credit pays it first. Below zero it is credit without a grant: what was
given back after the grant that it came from had ended. It burns before every grant.

A grant that ends takes what is left of it along, but for what units still out in leases lean on: that part can be used
until those units come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from faregate.domain.ledger.burning import Burn, Grant, burn, burn_order

ReservedBefore = Callable[[datetime], int]
"""What units can still cost that are out in leases granted before an instant, in ledger units."""


class GrantPhase(StrEnum):
    """How far a grant is: `ended` ones may still have credit that units in leases lean on."""

    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"


class CreditChangeKind(StrEnum):
    """What time, or a decision, did to a grant."""

    GRANTED = "granted"
    EXPIRED = "expired"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What an entry added to a grant's remainder, below zero what it took. `is_burn`: for usage."""

    grant_id: str
    amount: int
    is_burn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditChange:
    """An entry that a grant's border makes: `amount` moves the balance, `movements` say which grants it moved."""

    kind: CreditChangeKind
    grant_id: str
    at: datetime
    amount: int
    left: int
    """What remained of the grant before."""
    movements: tuple[Movement, ...]


@dataclass(slots=True, kw_only=True)
class KeptGrant:
    """A grant and what became of it. `burnt`: taken by usage, less what was given back.

    `recurred_at`: its last recurrence. `description`: for those who read its entries.
    """

    grant: Grant
    description: str = ""
    phase: GrantPhase = GrantPhase.SCHEDULED
    remaining: int = 0
    burnt: int = 0
    recurred_at: datetime | None = None

    @property
    def next_border_at(self) -> datetime | None:
        """Return when it begins, recurs or ends next; where it has ended and has credit left, when it ended."""
        grant = self.grant
        match self.phase:
            case GrantPhase.SCHEDULED:
                return min(grant.effective_at, grant.ends_at)
            case GrantPhase.ACTIVE:
                recurrence = grant.next_recurrence(self.recurred_at or grant.effective_at)
                ends_at = min(filter(None, (grant.expires_at, grant.voided_at)), default=None)
                return recurrence or ends_at
            case GrantPhase.ENDED:
                return grant.ends_at if self.remaining else None
            case _:
                assert_never(self.phase)

    @property
    def is_live(self) -> bool:
        """Return whether usage or time can still take of it, or add to it."""
        recurs = self.phase is GrantPhase.ACTIVE and self.grant.recurs is not None
        return self.remaining != 0 or self.phase is GrantPhase.SCHEDULED or recurs


class CreditAccount:
    """The balance and the grants of one account; everything that moves credit goes through it.

    Give it all grants that are live. To give credit back it needs those that usage has used up, too.
    """

    def __init__(self, balance: int, grants: Iterable[KeptGrant]) -> None:
        self.balance = balance
        self.grants: dict[str, KeptGrant] = {}
        self.changed: set[str] = set()
        """The grants that are not any more as they were given."""
        self._order: list[Grant] = []
        self._keep(grants)

    @property
    def overage(self) -> int:
        """Return what no grant has paid."""
        return sum(kept.remaining for kept in self.grants.values()) - self.balance

    @property
    def next_border_at(self) -> datetime | None:
        """Return the first border at which time takes or gives something: used-up grants have none."""
        borders = (kept.next_border_at for kept in self.grants.values() if kept.is_live)
        return min((border for border in borders if border is not None), default=None)

    def is_due(self, now: datetime) -> bool:
        """Return whether a border has been reached, be it of a used-up grant."""
        return any((border := kept.next_border_at) is not None and border <= now for kept in self.grants.values())

    def add(self, kept: KeptGrant) -> None:
        """Add a grant; it begins as its border is crossed."""
        self._keep([kept])
        self.changed.add(kept.grant.grant_id)

    def replace_grant(self, grant: Grant) -> None:
        """Put other terms in a grant's place: it is voided, or has become larger."""
        self.grants[grant.grant_id].grant = grant
        self.changed.add(grant.grant_id)
        self._order = burn_order(kept.grant for kept in self.grants.values())

    def post(self, amount: int, newest_movements: Iterable[Movement] = ()) -> tuple[Movement, ...]:
        """Move the balance by an amount; return what that took of grants, or gave back to them.

        An amount below zero burns, in burn order. One above zero lowers overage, then goes back to the active grants
        from which usage took it last. `newest_movements`: the earlier movements of those grants, the newest first; they
        are read only where it goes back to one of several.
        """
        if amount < 0:
            return self._take(-amount)
        owed = max(0, self.overage)
        self.balance += amount
        return self._give_back(amount - min(amount, owed), newest_movements)

    def cross(self, now: datetime, reserved_before: ReservedBefore) -> list[CreditChange]:
        """Cross all borders up to `now`, in order; return the entries that they make.

        At one instant grants end, then they recur, then others begin.
        """
        changes: list[CreditChange] = []
        while (due := self._next_due(now)) is not None:
            at, kept = due
            if at >= kept.grant.ends_at:
                kept.phase = GrantPhase.ENDED
                self.changed.add(kept.grant.grant_id)
            elif kept.phase is GrantPhase.SCHEDULED:
                kept.phase = GrantPhase.ACTIVE
                changes.append(self._granted(kept, at))
            else:
                changes += self._recurred(kept, at)
            changes += self._expire_ended(at, reserved_before)
        changes += self._expire_ended(now, reserved_before)
        return changes

    def backing(self, reserved: int) -> dict[str, int]:
        """Return by grant what of a reserved amount leans on it: what using it all would burn."""
        burns, _ = burn(self._order, self._remaining(), reserved - max(0, -self.overage))
        return {taken.grant_id: taken.amount for taken in burns}

    def withdraw(self, grant_id: str, amount: int) -> tuple[Movement, ...]:
        """Take an amount out of what remains of a grant, and out of the balance: it was refunded or corrected."""
        return (self._move(self.grants[grant_id], -amount),)

    def enlarge(self, grant_id: str, amount: int) -> tuple[Movement, ...]:
        """Add an amount to an active grant; overage is paid of it first."""
        return self._add(self.grants[grant_id], amount)

    def _keep(self, grants: Iterable[KeptGrant]) -> None:
        self.grants.update({kept.grant.grant_id: kept for kept in grants})
        self._order = burn_order(kept.grant for kept in self.grants.values())

    def _remaining(self) -> dict[str, int]:
        return {grant_id: kept.remaining for grant_id, kept in self.grants.items()}

    def _next_due(self, now: datetime) -> tuple[datetime, KeptGrant] | None:
        """Return the first border that is due; of those at one instant, an end before a recurrence before a begin."""
        due = [
            (border, (border < kept.grant.ends_at, kept.phase is GrantPhase.SCHEDULED), place, kept)
            for place, kept in enumerate(self.grants[grant.grant_id] for grant in self._order)
            if kept.phase is not GrantPhase.ENDED and (border := kept.next_border_at) is not None and border <= now
        ]
        if not due:
            return None
        at, _, _, kept = min(due, key=lambda found: found[:3])
        return at, kept

    def _granted(self, kept: KeptGrant, at: datetime) -> CreditChange:
        left, amount = kept.remaining, kept.grant.amount
        movements = self._add(kept, amount)
        return CreditChange(
            kind=CreditChangeKind.GRANTED,
            grant_id=kept.grant.grant_id,
            at=at,
            amount=amount,
            left=left,
            movements=movements,
        )

    def _recurred(self, kept: KeptGrant, at: datetime) -> Iterator[CreditChange]:
        kept.recurred_at = at
        lost = kept.remaining - min(kept.remaining, kept.grant.rolls_over)
        if lost:
            yield self._lost(kept, lost, at)
        yield self._granted(kept, at)

    def _expire_ended(self, at: datetime, reserved_before: ReservedBefore) -> Iterator[CreditChange]:
        """Take what is left of grants that have ended, but for what units in leases from before their end lean on."""
        for grant in self._order:
            kept = self.grants[grant.grant_id]
            if kept.phase is not GrantPhase.ENDED or not kept.remaining:
                continue
            leaned_on = self.backing(reserved_before(grant.ends_at)).get(grant.grant_id, 0)
            if kept.remaining > leaned_on:
                yield self._lost(kept, kept.remaining - leaned_on, at)

    def _lost(self, kept: KeptGrant, amount: int, at: datetime) -> CreditChange:
        grant, left = kept.grant, kept.remaining
        is_void = grant.voided_at is not None and grant.voided_at <= at
        return CreditChange(
            kind=CreditChangeKind.VOIDED if is_void else CreditChangeKind.EXPIRED,
            grant_id=grant.grant_id,
            at=at,
            amount=-amount,
            left=left,
            movements=(self._move(kept, -amount),),
        )

    def _add(self, kept: KeptGrant, amount: int) -> tuple[Movement, ...]:
        """Add to a grant and the balance, then pay overage."""
        owed = max(0, self.overage)
        added = self._move(kept, amount)
        return (added, *self._burn(owed))

    def _take(self, amount: int) -> tuple[Movement, ...]:
        ungranted = max(0, -self.overage)
        self.balance -= amount
        return self._burn(amount - min(amount, ungranted))

    def _burn(self, amount: int) -> tuple[Movement, ...]:
        burns, _ = burn(self._order, self._remaining(), amount)
        return tuple(self._burnt(taken.grant_id, taken.amount) for taken in burns)

    def _give_back(self, amount: int, newest_movements: Iterable[Movement]) -> tuple[Movement, ...]:
        found = {
            grant_id: kept.burnt
            for grant_id, kept in self.grants.items()
            if kept.phase is GrantPhase.ACTIVE and kept.burnt > 0
        }
        if not amount or not found:
            return ()
        taken: Iterable[Burn] = [Burn(grant_id=grant_id, amount=burnt) for grant_id, burnt in found.items()]
        if len(found) > 1:
            taken = standing_burns(movement for movement in newest_movements if movement.grant_id in found)
        movements, left = [], amount
        for last in taken:
            returned = min(left, last.amount)
            movements.append(self._burnt(last.grant_id, -returned))
            left -= returned
            if not left:
                break
        return tuple(movements)

    def _burnt(self, grant_id: str, amount: int) -> Movement:
        kept = self.grants[grant_id]
        kept.remaining -= amount
        kept.burnt += amount
        self.changed.add(grant_id)
        return Movement(grant_id=grant_id, amount=-amount, is_burn=True)

    def _move(self, kept: KeptGrant, amount: int) -> Movement:
        kept.remaining += amount
        self.balance += amount
        self.changed.add(kept.grant.grant_id)
        return Movement(grant_id=kept.grant.grant_id, amount=amount)


def standing_burns(newest_movements: Iterable[Movement]) -> Iterator[Burn]:
    """Yield what usage has taken and nobody has given back yet, the last taken first."""
    returned: dict[str, int] = {}
    for movement in newest_movements:
        if not movement.is_burn:
            continue
        if movement.amount > 0:
            returned[movement.grant_id] = returned.get(movement.grant_id, 0) + movement.amount
            continue
        undone = min(-movement.amount, returned.get(movement.grant_id, 0))
        if undone:
            returned[movement.grant_id] -= undone
        if undone < -movement.amount:
            yield Burn(grant_id=movement.grant_id, amount=-movement.amount - undone)


def spread(amount: int, weights: Sequence[int]) -> list[int]:
    """Return an amount's shares by weight; the units that do not divide go to the largest remainders, first ones first.

    Their sum is the amount. Weights are above zero.
    """
    whole = sum(weights)
    shares = [amount * weight // whole for weight in weights]
    by_rest = sorted(range(len(weights)), key=lambda place: (-(amount * weights[place] % whole), place))
    for place in by_rest[: amount - sum(shares)]:
        shares[place] += 1
    return shares


def voided(grant: Grant, at: datetime) -> Grant:
    """Return a grant that ends now."""
    return replace(grant, voided_at=at)
