"""When an account tops itself up: below a threshold, one payment at a time, within a limit, and never in a loop.

Amounts are in ledger units. A payment that fails is not repeated at once: the account waits, and after three failures
in a row it stops until its terms are set again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

LIMITED_OVER: Final = timedelta(days=30)
"""A limit holds for every span of this length, so that no border lets it be spent twice."""

MOST_FAILURES: Final = 3
"""Failed payments in a row after which nothing more is tried."""

FAILURE_COOL_OFF: Final = timedelta(hours=1)
"""A failed payment is followed by nothing for at least this long."""


class TopUpStatus(StrEnum):
    """`pending` until the provider has said whether the payment succeeded."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"


class TopUpPause(StrEnum):
    """Why no top-up begins now, the first reason that holds."""

    ENOUGH = "enough"
    PENDING = "pending"
    STOPPED = "stopped"
    COOLING_OFF = "cooling_off"
    LIMIT_REACHED = "limit_reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpTerms:
    """Buy `amount` of credit when the balance is below `below`; at most `most`, if given, in any 30 days.

    After a top-up began, none begins for `cool_off`. Failures before `set_at` are forgiven.
    """

    below: int
    amount: int
    most: int | None
    cool_off: timedelta
    set_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierTopUp:
    """A top-up that began at `began_at`, and what became of it."""

    amount: int
    status: TopUpStatus
    began_at: datetime


def why_none_begins(
    terms: TopUpTerms, *, balance: int, earlier: Sequence[EarlierTopUp], now: datetime
) -> TopUpPause | None:
    """Return why no top-up begins at `now`, None where one is due; `earlier` is oldest first."""
    if balance >= terms.below:
        return TopUpPause.ENOUGH
    if any(top_up.status is TopUpStatus.PENDING for top_up in earlier):
        return TopUpPause.PENDING
    if _failures_in_a_row(terms, earlier) >= MOST_FAILURES:
        return TopUpPause.STOPPED
    if earlier and now < earlier[-1].began_at + _cool_off(terms, earlier[-1]):
        return TopUpPause.COOLING_OFF
    if terms.most is not None and _bought(earlier, since=now - LIMITED_OVER) + terms.amount > terms.most:
        return TopUpPause.LIMIT_REACHED
    return None


def _failures_in_a_row(terms: TopUpTerms, earlier: Sequence[EarlierTopUp]) -> int:
    failures = 0
    for top_up in reversed(earlier):
        if top_up.status is not TopUpStatus.FAILED or top_up.began_at < terms.set_at:
            break
        failures += 1
    return failures


def _cool_off(terms: TopUpTerms, last: EarlierTopUp) -> timedelta:
    if last.status is not TopUpStatus.FAILED:
        return terms.cool_off
    if last.began_at < terms.set_at:
        return timedelta(0)
    return max(terms.cool_off, FAILURE_COOL_OFF)


def _bought(earlier: Iterable[EarlierTopUp], *, since: datetime) -> int:
    return sum(top_up.amount for top_up in earlier if top_up.status is TopUpStatus.PAID and top_up.began_at > since)
