"""How often a wrong password may be tried: each failure of a login after the fourth doubles the wait for the next."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from faregate.base.clock import Clock

_FREE_FAILURES: Final = 4
_LONGEST_WAIT_MS: Final = 300_000
_FORGOTTEN_AFTER_MS: Final = 900_000
_MOST_LOGINS: Final = 10_000
_MILLISECONDS: Final = 1_000


class Attempts:
    """Failures by login, in this process; the oldest are forgotten first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_s(self, login: str) -> int:
        """Return how many seconds the login has to wait; 0 where it may try."""
        count, last_ms = self._failures.get(login, (0, 0))
        age_ms = self._clock.steady_ms() - last_ms
        if count <= _FREE_FAILURES or age_ms >= _FORGOTTEN_AFTER_MS:
            return 0
        wait_ms = min(_MILLISECONDS << (count - _FREE_FAILURES), _LONGEST_WAIT_MS)
        return max(0, -((age_ms - wait_ms) // _MILLISECONDS))

    def failed(self, login: str) -> None:
        """Count a failure."""
        count, _ = self._failures.pop(login, (0, 0))
        self._failures[login] = (count + 1, self._clock.steady_ms())
        if len(self._failures) > _MOST_LOGINS:
            self._failures.popitem(last=False)

    def succeeded(self, login: str) -> None:
        """Forget a login's failures."""
        self._failures.pop(login, None)
