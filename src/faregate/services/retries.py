"""When what failed outside is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

_FIRST_DELAY_S: Final = 1.0
_LONGEST_DELAY_S: Final = 300.0
_MOST_DOUBLINGS: Final = 16
_SPREAD_STEPS: Final = 16


def retry_delay(attempts: int, number: int) -> timedelta:
    """Return how long to wait after `attempts` earlier failures: doubling from a second to five minutes.

    Up to a quarter is added by the `number` of what failed, so that what failed together does not come back together.
    """
    delay_s = min(_FIRST_DELAY_S * 2 ** min(attempts, _MOST_DOUBLINGS), _LONGEST_DELAY_S)
    return timedelta(seconds=delay_s * (1 + (number % _SPREAD_STEPS) / (4 * _SPREAD_STEPS)))
