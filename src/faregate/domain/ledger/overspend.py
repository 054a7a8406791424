"""Overspend: by how much an account fell below what it may, and why."""

from __future__ import annotations

from enum import StrEnum


class OverspendCause(StrEnum):
    """Why an account spent what it had not.

    finished    a stream went on without credit, as its route lets it
    above_hold  a call used more than it was allowed: its upstream ignored the limit
    not_held    a call held nothing: its route is not strict, or failed open
    late        a call's units had been given back: its gateway was settled as lost, or the ledger was restored
    agents      events of agents and imports, which hold nothing
    correction  an event was corrected
    entry       an entry of the ledger beside usage: a closing charge, a re-rating, an adjustment, the end of a grant
    """

    FINISHED = "finished"
    ABOVE_HOLD = "above_hold"
    NOT_HELD = "not_held"
    LATE = "late"
    AGENTS = "agents"
    CORRECTION = "correction"
    ENTRY = "entry"


def overspent(*, before: int, after: int) -> int:
    """Return by how much what is available fell below zero, or further below it, in ledger units."""
    return max(0, min(before, 0) - after)
