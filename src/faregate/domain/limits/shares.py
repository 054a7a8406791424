"""One limit, shared by several gateways: what each may use of it in any 60 seconds.

A gateway counts its own last minute and never admits a call that would take it over its share. The desk gives shares
out so that the sum of what all may use and what all have used is never more than the limit. So each gateway's *claim*
is the largest of the share that it said it acts by, the one that it was answered, and what it has used in its minute: a
share that was taken back is free for another only once its gateway has said so, and has not used it up.

Where gateways want more than there is, what is free goes to whoever is furthest below an equal part: a gateway that
asks for it gets at least one n-th of the limit as soon as what others used beyond theirs has left the minute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from faregate.domain.limits.window import WINDOW_S

SILENT_MS: Final = 30_000
"""A gateway that has said nothing of a limit for so long is taken for gone; it reports three times as often."""

_MEMORY_MS: Final = (WINDOW_S + 1) * 1_000


@dataclass(slots=True)
class _Holder:
    """What a gateway process said last, and was answered. `ends_ms`: when its claim ends, if it says no more."""

    holds: int
    used: int
    wanted: int
    share: int
    ends_ms: int

    @property
    def claim(self) -> int:
        return max(self.holds, self.share, self.used)


@dataclass(frozen=True, slots=True)
class Share:
    """What a gateway may use in a minute, and what the others have used in theirs."""

    units: int
    used_elsewhere: int


class SharedLimit:
    """The shares of one limit and subject; times in milliseconds of a clock that never steps back."""

    def __init__(self) -> None:
        self._holders: dict[tuple[str, int], _Holder] = {}

    @property
    def is_idle(self) -> bool:
        """Return whether nobody claims any of it."""
        return not self._holders

    def ask(self, gateway: tuple[str, int], *, amount: int, holds: int, used: int, wanted: int, now_ms: int) -> Share:
        """Take what a gateway process says, and return its share of `amount` from now on.

        `gateway`: its id and epoch; an earlier epoch of it has ended, and keeps its claim for a minute. `holds`: the
        share that it acts by. `wanted`: what it would use of a minute. 0 for all three: it is done.
        """
        self._forget(gateway, now_ms)
        if not (holds or used or wanted):
            self._holders.pop(gateway, None)
            return Share(0, sum(holder.used for holder in self._holders.values()))
        holder = self._holders.get(gateway)
        if holder is None:
            holder = self._holders[gateway] = _Holder(0, 0, 0, 0, 0)
        holder.holds, holder.used, holder.wanted = holds, used, wanted
        holder.ends_ms = now_ms + SILENT_MS + _MEMORY_MS
        others = [held for key, held in self._holders.items() if key != gateway]
        free = max(0, amount - sum(held.claim for held in others))
        parts = fair_parts({key: held.wanted for key, held in self._holders.items()}, amount)
        holder.share = min(parts[gateway], free)
        return Share(holder.share, sum(held.used for held in others))

    def sweep(self, now_ms: int) -> None:
        """Forget gateways that are gone."""
        for key in [key for key, held in self._holders.items() if held.ends_ms <= now_ms]:
            del self._holders[key]

    def _forget(self, gateway: tuple[str, int], now_ms: int) -> None:
        gateway_id, epoch = gateway
        for key, held in self._holders.items():
            if key[0] == gateway_id and key[1] < epoch:
                held.wanted = 0
                held.ends_ms = min(held.ends_ms, now_ms + _MEMORY_MS)
        self.sweep(now_ms)


def fair_parts(wanted: Mapping[tuple[str, int], int], amount: int) -> dict[tuple[str, int], int]:
    """Return what each gets of `amount`: all it wants, or an equal part of what those leave who want less."""
    parts = {}
    left = amount
    for place, key in enumerate(sorted(wanted, key=lambda key: (wanted[key], key))):
        parts[key] = min(wanted[key], left // (len(wanted) - place))
        left -= parts[key]
    return parts
