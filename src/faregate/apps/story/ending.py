"""How a story ends before its end."""

from __future__ import annotations

import signal


def stop_as_interrupted() -> None:
    """Take SIGTERM and SIGHUP as Ctrl-C, so that whatever was started is stopped and the folder is cleaned up."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
