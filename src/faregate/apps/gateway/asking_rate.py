"""How often a company may ask about its credit: each answer costs the control plane a read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

ASKED_PER_S: Final = 10
ASKED_AT_ONCE: Final = 20
_MOST_COMPANIES: Final = 10_000
_MILLISECONDS: Final = 1_000
_COST_MS: Final = _MILLISECONDS // ASKED_PER_S


class AskingRate:
    """A token bucket a company, kept as the instant at which it is full again (the generic cell rate algorithm)."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._full_at_ms: dict[str, int] = {}

    def wait_s(self, company_id: str) -> int:
        """Count a question; return 0, or after how many seconds to ask again where this one comes too early."""
        now_ms = self._now_ms()
        full_at_ms = max(self._full_at_ms.get(company_id, 0), now_ms) + _COST_MS
        early_ms = full_at_ms - now_ms - ASKED_AT_ONCE * _COST_MS
        if early_ms > 0:
            return -(-early_ms // _MILLISECONDS)
        if len(self._full_at_ms) >= _MOST_COMPANIES:
            self._full_at_ms = {known: at_ms for known, at_ms in self._full_at_ms.items() if at_ms > now_ms}
        self._full_at_ms[company_id] = full_at_ms
        return 0
