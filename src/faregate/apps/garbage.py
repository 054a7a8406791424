"""Python's cycle collector in a long-running process."""

from __future__ import annotations

import gc
from typing import Final

_COLLECT_AFTER_OBJECTS: Final = 50_000


def collect_rarely() -> None:
    """Look for cycles rarely. Called once a process has imported what it runs.

    Nothing of the program itself is garbage, and a request or a batch leaves no cycles: to look for them after every
    700 objects took a quarter of the applier's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS)
