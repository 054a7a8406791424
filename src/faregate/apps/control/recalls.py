"""Accounts for which a gateway was refused while units were out elsewhere: who waits, and what their credit was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

RECALL_EVERY_S: Final = 0.05
"""A call that waits asks again and again: what lies idle elsewhere is asked for at most so often."""

_AWAITED_S: Final = 10.0
"""How long a gateway is told of changes after its last refusal; no call waits longer without asking again."""


@dataclass(slots=True)
class _Awaited:
    """`credit`: balance and reserved as last read, None before. Times on the loop's clock."""

    gateways: set[str] = field(default_factory=set)
    credit: tuple[int, int] | None = None
    recalled_at_s: float = float("-inf")
    until_s: float = 0.0


class Recalls:
    """Who waits for which account. No I/O; the caller reads credit after each commit and says what it is."""

    def __init__(self) -> None:
        self._awaited: dict[str, _Awaited] = {}

    def note(self, subscription_id: str, gateway_id: str, *, now_s: float) -> bool:
        """Note that a gateway waits; return whether idle units are to be recalled now."""
        awaited = self._awaited.setdefault(subscription_id, _Awaited())
        awaited.gateways.add(gateway_id)
        awaited.until_s = now_s + _AWAITED_S
        due = now_s - awaited.recalled_at_s >= RECALL_EVERY_S
        if due:
            awaited.recalled_at_s = now_s
        return due

    def awaited(self) -> list[str]:
        """Return the accounts whose credit is to be read."""
        return list(self._awaited)

    def changed(self, credit: Mapping[str, tuple[int, int]], *, now_s: float) -> dict[str, set[str]]:
        """Return the gateways to tell, by account whose credit is another than before; forget who waits no more."""
        told: dict[str, set[str]] = {}
        for subscription_id, found in credit.items():
            awaited = self._awaited.get(subscription_id)
            if awaited is None:
                continue
            if awaited.credit not in {None, found}:
                told[subscription_id] = set(awaited.gateways)
            awaited.credit = found
        for subscription_id in [known for known, awaited in self._awaited.items() if awaited.until_s < now_s]:
            del self._awaited[subscription_id]
        return told
