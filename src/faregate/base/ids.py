"""Identifiers: a short prefix that names the kind, then 26 characters that sort by time.

The body is a ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, Crockford base 32.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_CHARACTERS: Final = 10
_PAIRS: Final = tuple(a + b for a in _ALPHABET for b in _ALPHABET)

IdSource = Callable[[str], str]
"""Takes a prefix such as `pln` and returns a new id such as `pln_01jx...`."""


def ulid(milliseconds: int, randomness: bytes) -> str:
    """Return the 26 characters for a time in milliseconds and 10 random bytes."""
    number = (milliseconds << 80) | int.from_bytes(randomness, "big")
    return "".join(_PAIRS[(number >> shift) & 0x3FF] for shift in range(120, -1, -10))


def ulid_milliseconds(head: str) -> int | None:
    """Return the time that a ULID's first ten characters stand for; None where they are no such thing."""
    if len(head) != _TIME_CHARACTERS:
        return None
    number = 0
    for character in head:
        digit = _ALPHABET.find(character)
        if digit < 0:
            return None
        number = number << 5 | digit
    return number if number >> 48 == 0 else None


def new_id(prefix: str) -> str:
    """Return a new id from the machine's clock and random source; an `IdSource`."""
    return f"{prefix}_{ulid(time.time_ns() // 1_000_000, os.urandom(10))}"
