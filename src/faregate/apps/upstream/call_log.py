"""The demo upstream's own record of what it answered: the judge where a gateway or this process is killed.

A JSON line a call and phase, each appended by a single write(2), so that a killed process leaves whole lines. The line
`completed` is written before the answer's last byte is handed over: no caller ever holds a whole answer without it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from faregate.base.clock import Clock, to_microseconds

Phase = Literal["begun", "completed", "aborted"]

_ENCODE: Final = msgspec.json.Encoder().encode
_MODE: Final = 0o644


class CallLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log.

    `completion_tokens` and `chunks` count what was handed over so far: nothing in `begun`, everything in `completed`.
    `status` is the answer's HTTP status; tokens are 0 for every status but 200. `at_us` is in microseconds since the
    epoch.
    """

    request_id: str
    phase: Phase
    status: int
    prompt_tokens: int
    completion_tokens: int
    chunks: int
    at_us: int


class CallLog:
    """Appends lines to an open file, or to nothing."""

    def __init__(self, descriptor: int | None, clock: Clock) -> None:
        self._descriptor = descriptor
        self._clock = clock

    def append(
        self, request_id: str, phase: Phase, *, status: int, prompt_tokens: int, completion_tokens: int, chunks: int
    ) -> None:
        """Append a line that bears the present instant; the parameters are `CallLine`'s fields.

        Raises:
            OSError: The file took nothing or only a part of the line: the log can no longer be trusted.
        """
        if self._descriptor is None:
            return
        line = CallLine(
            request_id=request_id,
            phase=phase,
            status=status,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            chunks=chunks,
            at_us=to_microseconds(self._clock.now()),
        )
        text = _ENCODE(line) + b"\n"
        if os.write(self._descriptor, text) != len(text):
            raise OSError("the call log took only a part of a line; is its disk full?")


@contextmanager
def open_call_log(path: Path | None, clock: Clock) -> Iterator[CallLog]:
    """Open the log at `path` for appending, made if it is not there; without a path, one that keeps nothing.

    Raises:
        OSError: The file cannot be opened for writing.
    """
    if path is None:
        yield CallLog(None, clock)
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        yield CallLog(descriptor, clock)
    finally:
        os.close(descriptor)


def read_call_log(path: Path) -> list[CallLine]:
    """Return all lines of a log, in the order they were written."""
    return msgspec.json.Decoder(CallLine).decode_lines(path.read_bytes())
