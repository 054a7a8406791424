"""Request ids: the form of every other id (`base/ids.py`), made fast enough for one a request.

A system call lets go of the interpreter's lock, and under load getting it back costs more than all else here. So clock
and randomness are read once for many ids, which count up in their last characters (a monotonic ULID).
"""

from __future__ import annotations

import os
from typing import Final

from faregate.base.clock import Clock, to_microseconds
from faregate.base.ids import ulid

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TAILS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_RANDOM_BYTES: Final = 10


class RequestIds:
    """An `IdSource` whose ids share time and 70 random bits, 1,024 at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._head = ""
        self._next = len(_TAILS)

    def __call__(self, prefix: str) -> str:
        """Return a new id."""
        place = self._next
        if place == len(_TAILS):
            milliseconds = to_microseconds(self._clock.now()) // 1_000
            self._head = ulid(milliseconds, os.urandom(_RANDOM_BYTES))[:-2]
            place = 0
        self._next = place + 1
        return f"{prefix}_{self._head}{_TAILS[place]}"
