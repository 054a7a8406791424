"""What a grant of credit is, in which order grants burn, and how burnt credit goes back.

Burn order: priority (lower first), soonest expiry, promotional before paid, earliest effective, oldest. Amounts are in
ledger units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from faregate.base.money import EXACT
from faregate.base.periods import PeriodCalendar

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class GrantKind(StrEnum):
    """Whether somebody paid for it."""

    PROMOTIONAL = "promotional"
    PAID = "paid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    """What a reset leaves of a grant: at least `least` (topped up if need be), at most `most`."""

    least: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """An amount of credit that can be spent in [effective_at, expires_at), up to `voided_at`.

    `recurs`: at its borders after `effective_at` the grant is at `amount` again, and `rolls_over` at most of what was
    left is kept beside it. `sequence` says which is older.
    """

    grant_id: str
    amount: int
    kind: GrantKind
    effective_at: datetime
    sequence: int
    priority: int = 0
    expires_at: datetime | None = None
    voided_at: datetime | None = None
    recurs: PeriodCalendar | None = None
    rolls_over: int = 0
    rollover: Rollover = Rollover()

    @property
    def ends_at(self) -> datetime:
        """Return the first instant at which it can't be spent any more."""
        return min(self.expires_at or _NEVER, self.voided_at or _NEVER)

    def is_active(self, at: datetime) -> bool:
        """Return whether it can be spent at an instant."""
        return self.effective_at <= at < self.ends_at

    def next_recurrence(self, after: datetime) -> datetime | None:
        """Return the first recurrence after an instant, and after `effective_at`; None where it ends before."""
        if self.recurs is None:
            return None
        border = self.recurs.period_containing(max(after, self.effective_at)).end
        return border if border < self.ends_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """What was taken of one grant."""

    grant_id: str
    amount: int


def burn_order(grants: Iterable[Grant]) -> list[Grant]:
    """Return grants in the order in which they burn."""
    return sorted(
        grants,
        key=lambda grant: (
            grant.priority,
            grant.expires_at or _NEVER,
            grant.kind is GrantKind.PAID,
            grant.effective_at,
            grant.sequence,
            grant.grant_id,
        ),
    )


def burn(order: Iterable[Grant], balances: Mapping[str, int], amount: int) -> tuple[list[Burn], int]:
    """Take an amount from grants in their order; return what was taken of each, and what no grant could pay."""
    burns, left = [], amount
    for grant in order:
        if left <= 0:
            break
        taken = min(left, balances.get(grant.grant_id, 0))
        if taken > 0:
            burns.append(Burn(grant_id=grant.grant_id, amount=taken))
            left -= taken
    return burns, left


def restore(burns: Sequence[Burn], amount: int) -> tuple[list[Burn], list[Burn]]:
    """Give back an amount of what was burnt, the last taken first; return what stays burnt and what goes back.

    What stays is what burning the smaller amount at the start would have taken. At most everything goes back.
    """
    kept, back, left = list(burns), [], amount
    while left > 0 and kept:
        last = kept.pop()
        returned = min(left, last.amount)
        back.append(Burn(grant_id=last.grant_id, amount=returned))
        if last.amount > returned:
            kept.append(Burn(grant_id=last.grant_id, amount=last.amount - returned))
        left -= returned
    return kept, back


def credits_worth(count: Decimal, rate: Decimal) -> Decimal:
    """Return what credits are worth in major units, exactly, at a rate of so many major units a credit."""
    return EXACT.multiply(count, rate)
