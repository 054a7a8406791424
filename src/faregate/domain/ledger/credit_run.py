"""Credit over time: grants begin, recur, expire and are reset; usage burns them; what nothing could pay is overage.

At one instant: grants that end, then a reset, then recurrences, then grants that begin, then usage. Overage is paid
from the next credit that becomes available. A run can stop anywhere and go on from its state: that never changes the
answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import attrgetter

from faregate.domain.ledger.burning import Grant, burn, burn_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """An amount of credit used at an instant, in ledger units."""

    at: datetime
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """A new usage period: every grant keeps what its rollover says; overage is forgiven unless it is preserved."""

    at: datetime
    preserve_overage: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditState:
    """After everything before `at`, and the borders at `at`: what is left of each active grant, what no grant paid.

    `used` is the usage since the last reset.
    """

    at: datetime
    balances: Mapping[str, int] = field(default_factory=dict)
    overage: int = 0
    used: int = 0

    @property
    def balance(self) -> int:
        """Return the credit left less the overage: below zero where more was used than granted. It is not clamped."""
        return sum(self.balances.values()) - self.overage


def open_credit(grants: Iterable[Grant], at: datetime) -> CreditState:
    """Return the state in which nothing has been used before `at`: grants that are active then are full."""
    return CreditState(at=at, balances={grant.grant_id: grant.amount for grant in grants if grant.is_active(at)})


def run_credit(
    state: CreditState,
    grants: Sequence[Grant],
    *,
    usage: Iterable[Usage],
    until: datetime,
    resets: Iterable[Reset] = (),
) -> CreditState:
    """Return the state at `until`: usage in [state.at, until) burnt, the borders in (state.at, until] applied."""
    order = burn_order(grants)
    by_instant = {reset.at: reset for reset in resets if state.at < reset.at <= until}
    waiting = sorted((entry for entry in usage if state.at <= entry.at < until), key=attrgetter("at"))
    position = 0
    for border in _borders(grants, by_instant, after=state.at, until=until):
        while position < len(waiting) and waiting[position].at < border:
            state = _used(state, order, waiting[position])
            position += 1
        state = _crossed(state, order, at=border, reset=by_instant.get(border))
    for entry in waiting[position:]:
        state = _used(state, order, entry)
    return replace(state, at=until)


def _borders(
    grants: Iterable[Grant], resets: Mapping[datetime, Reset], *, after: datetime, until: datetime
) -> list[datetime]:
    found = set(resets)
    for grant in grants:
        found.update(instant for instant in (grant.effective_at, grant.ends_at) if after < instant <= until)
        found.update(_recurrences(grant, after=after, until=until))
    return sorted(found)


def _recurrences(grant: Grant, *, after: datetime, until: datetime) -> Iterator[datetime]:
    border = grant.next_recurrence(after)
    while border is not None and border <= until:
        yield border
        border = grant.next_recurrence(border)


def _crossed(state: CreditState, order: Sequence[Grant], *, at: datetime, reset: Reset | None) -> CreditState:
    balances = {
        grant.grant_id: state.balances[grant.grant_id]
        for grant in order
        if grant.grant_id in state.balances and grant.is_active(at)
    }
    overage, used = state.overage, state.used
    if reset is not None:
        for grant in order:
            if grant.grant_id in balances:
                rolled = max(grant.rollover.least, balances[grant.grant_id])
                balances[grant.grant_id] = min(grant.rollover.most, rolled)
        overage, used = (overage if reset.preserve_overage else 0), 0
    for grant in order:
        if not grant.is_active(at):
            continue
        if grant.effective_at == at:
            balances[grant.grant_id] = grant.amount
        elif grant.recurs is not None and grant.recurs.period_containing(at).start == at:
            balances[grant.grant_id] = grant.amount + min(grant.rolls_over, balances.get(grant.grant_id, 0))
    return _paid(CreditState(at=at, balances=balances, overage=overage, used=used), order)


def _used(state: CreditState, order: Sequence[Grant], entry: Usage) -> CreditState:
    owing = replace(state, overage=state.overage + entry.amount, used=state.used + entry.amount)
    return _paid(owing, order)


def _paid(state: CreditState, order: Sequence[Grant]) -> CreditState:
    """Pay overage from what is left."""
    if not state.overage:
        return state
    burns, overage = burn(order, state.balances, state.overage)
    balances = dict(state.balances)
    for taken in burns:
        balances[taken.grant_id] -= taken.amount
    return replace(state, balances=balances, overage=overage)
