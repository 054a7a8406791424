"""Request ids: the form of every other id (`base/ids.py`), made fast enough for one a request.

A system call lets go of the interpreter's lock, and getting it back under load costs more than all else a request
needs: so randomness is taken for many ids at once. The time in an id only orders ids; it is read again every few ids.
"""

from __future__ import annotations

import os
from typing import Final

from faregate.base.clock import Clock, to_microseconds
from faregate.base.ids import ulid

_TAKEN_AT_ONCE: Final = 64
_RANDOM_BYTES: Final = 10


class RequestIds:
    """An `IdSource` that makes ids ahead, a few at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead: list[str] = []

    def __call__(self, prefix: str) -> str:
        """Return a new id."""
        if not self._ahead:
            self._make()
        return f"{prefix}_{self._ahead.pop()}"

    def _make(self) -> None:
        milliseconds = to_microseconds(self._clock.now()) // 1_000
        pool = os.urandom(_RANDOM_BYTES * _TAKEN_AT_ONCE)
        self._ahead = [
            ulid(milliseconds, pool[start : start + _RANDOM_BYTES]) for start in range(0, len(pool), _RANDOM_BYTES)
        ]
