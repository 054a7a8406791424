"""Ends a child of `faregate` with whoever started it. Standard library only."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Final

SUPERVISED: Final = "FAREGATE_SUPERVISED"
"""Set for children: their standard input is a pipe that ends when whoever started them does, even by kill -9."""


def is_supervised() -> bool:
    """Return whether this process was started by another of ours."""
    return bool(os.environ.get(SUPERVISED))


def follow_supervisor() -> None:
    """Send this process SIGTERM as soon as its standard input ends, where it is supervised."""
    if is_supervised():
        threading.Thread(target=_stop_with_supervisor, name="supervisor-watch", daemon=True).start()


def _stop_with_supervisor() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
