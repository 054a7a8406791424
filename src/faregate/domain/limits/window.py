"""The last minute's use, as a gateway counts it."""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 60

_SLOTS: Final = WINDOW_S + 1


class SlidingWindow:
    """Units by second: the present one, which has only begun, and the 60 before it.

    So `used` is at least what was used in the last 60 seconds, at any moment. Seconds are those of a clock that never
    steps back.
    """

    __slots__ = ("_newest", "_second", "_slots", "used")

    def __init__(self, second: int) -> None:
        self._second = self._newest = second
        self._slots = [0] * _SLOTS
        self.used = 0

    def advance(self, second: int) -> None:
        """Forget what is older than the window."""
        gone = second - self._second
        if gone <= 0:
            return
        slots = self._slots
        for passed in range(self._second + 1, self._second + 1 + min(gone, _SLOTS)):
            place = passed % _SLOTS
            self.used -= slots[place]
            slots[place] = 0
        self._second = second

    def add(self, units: int) -> int:
        """Count units in the present second; return the second, for `correct`."""
        self._slots[self._second % _SLOTS] += units
        self.used += units
        self._newest = self._second
        return self._second

    def correct(self, second: int, by: int) -> None:
        """Change what was counted in a second, which may have left the window; it never falls below nothing."""
        if second <= self._second - _SLOTS:
            return
        place = second % _SLOTS
        by = max(by, -self._slots[place])
        self._slots[place] += by
        self.used += by

    def frees_in_s(self, units: int) -> int:
        """Return after how many seconds at least so many of the units in use have left; 0 for none."""
        if units <= 0:
            return 0
        left = 0
        for age in range(_SLOTS - 1, -1, -1):
            left += self._slots[(self._second - age) % _SLOTS]
            if left >= units:
                return _SLOTS - age
        return _SLOTS

    def clears_in_s(self) -> int:
        """Return after how many seconds at most nothing is in use."""
        return self._newest + _SLOTS - self._second if self.used else 0
