"""How a story ends before its end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import uvloop

T = TypeVar("T")

INTERRUPTED: Final = 130
"""The exit status of a command that Ctrl-C ended, as shells have it."""


class Interrupted(Exception):
    """The user ended the story; everything that was started has been stopped."""


def stay_cancelled() -> None:
    """Call it after each of many requests: the HTTP client drops a cancellation that comes with a failure.

    Raises:
        asyncio.CancelledError: The running task was cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def play(story: Coroutine[Any, Any, T]) -> T:
    """Run a story in an event loop of its own; return what it returns.

    Ctrl-C, SIGTERM and SIGHUP cancel it, so that whatever it started is stopped; then `Interrupted` is raised.
    """
    # A shell has its background jobs ignore SIGINT, and then the other two would do nothing either.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return uvloop.run(story)
    except KeyboardInterrupt as error:
        raise Interrupted from error
