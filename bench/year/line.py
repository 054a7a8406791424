"""The line to the provider: calls that are refused for a moment, answers that are lost, a process that dies."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from typing import Final

from faregate.base.errors import Unavailable
from faregate.domain.billing.provider import BillingProvider

_BUSY: Final = 0.01
_LOST: Final = 0.01
_PLAIN: Final = frozenset({"account", "linked", "summarize_usage"})


class BadLine:
    """A provider of which one call in a hundred is refused (429, 500), and of one in a hundred the answer is lost.

    `dies_at`: the process ends itself by SIGKILL at this call, before it or after it.
    """

    def __init__(self, inner: BillingProvider, chance: random.Random, *, dies_at: int | None = None) -> None:
        self._inner = inner
        self._chance = chance
        self._dies_at = dies_at
        self.count = {"calls": 0, "failed": 0}

    def linked(self, links: object) -> BadLine:
        """Return a line of its own for these links, on the same count of calls: several threads ask at once."""
        other = BadLine(self._inner.linked(links), self._chance, dies_at=self._dies_at)  # type: ignore[arg-type]
        other.count = self.count
        return other

    def account(self) -> str:
        """Return the provider's account."""
        return self._inner.account()

    def __getattr__(self, name: str) -> Callable[..., object]:
        made: Callable[..., object] = getattr(self._inner, name)
        if name in _PLAIN:
            return made

        def call(*args: object, **kwargs: object) -> object:
            self.count["calls"] += 1
            number, dice = self.count["calls"], self._chance.random()
            if number == self._dies_at and dice < 1 / 2:
                os.kill(os.getpid(), signal.SIGKILL)
            if dice < _BUSY:
                self.count["failed"] += 1
                raise Unavailable(f"{name}: 429 or 500")
            answer = made(*args, **kwargs)
            if number == self._dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if dice > 1 - _LOST:
                self.count["failed"] += 1
                raise Unavailable(f"{name}: the answer is lost")
            return answer

        return call
