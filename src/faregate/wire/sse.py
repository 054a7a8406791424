"""Server-sent events, cut into whole events as bytes arrive, without changing a byte.

Source: the WHATWG HTML standard, "Server-sent events", section "Interpreting an event stream": lines end in LF, CRLF or
CR; an empty line ends an event; `data` lines are joined by LF; a line that starts with a colon is a comment.
"""

from __future__ import annotations

import re
from typing import Final

from faregate.base.limits import MAX_USAGE_EVENT_BYTES

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
# A CR counts as a line's end only when the next byte is known: the network may cut between CR and LF.
_EVENT_END: Final = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")
_LONGEST_END: Final = 4


class EventSplitter:
    """Cuts a stream into events. Feeding the same bytes in any pieces gives the same events.

    An event is its raw bytes with the empty line that ends it. One that grows past `limit` bytes is let go in pieces,
    which `data_of` reads as None, so that a caller's stream is never held up by an event that nobody can read.
    """

    __slots__ = ("_limit", "_oversized", "_pending")

    def __init__(self, limit: int = MAX_USAGE_EVENT_BYTES) -> None:
        self._pending = b""
        self._limit = limit
        self._oversized = False

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes | None]]:
        """Return the events that `chunk` completes, each as its raw bytes and its data (see `data_of`)."""
        if chunk.endswith(b"\n\n") and not self._pending and not self._oversized and b"\r" not in chunk:
            # One whole event, as upstreams nearly always write them: nothing has to be searched for.
            empty_line = len(chunk) - 2
            if empty_line <= self._limit - 2 and chunk.find(b"\n\n") == empty_line:
                if chunk.startswith(b"data: ") and chunk.find(b"\n") == empty_line:
                    return [(chunk, chunk[6:empty_line])]
                return [(chunk, data_of(chunk))]
        searched = len(self._pending)
        buffer = self._pending + chunk if searched else chunk
        events: list[tuple[bytes, bytes | None]] = []
        start, search_from = 0, max(0, searched - _LONGEST_END + 1)
        while (end := _EVENT_END.search(buffer, search_from)) is not None:
            raw = buffer[start : end.end()]
            oversized = self._oversized or len(raw) > self._limit
            events.append((raw, None if oversized else data_of(raw)))
            self._oversized = False
            start = search_from = end.end()
        self._pending = buffer[start:] if start else buffer
        if len(self._pending) > self._limit + _LONGEST_END:
            # What may be the beginning of the event's end stays.
            events.append((self._pending[:-_LONGEST_END], None))
            self._pending = self._pending[-_LONGEST_END:]
            self._oversized = True
        return events

    @property
    def inside_event(self) -> bool:
        """Return whether pieces of an event that has not ended have been let go."""
        return self._oversized

    def rest(self) -> bytes:
        """Return the bytes after the last whole event, once: what a stream that ended early left over."""
        rest, self._pending = self._pending, b""
        return rest


def data_of(event: bytes) -> bytes | None:
    """Return an event's `data`, lines joined by LF, or None where it has none (a comment, a bare `event:`)."""
    if event.endswith(b"\n\n"):
        start = event.find(b"\n") + 1 if event.startswith(b"event: ") else 0
        # One CR anywhere means that lines may end where this does not look.
        if event.startswith(b"data: ", start) and event.find(b"\n", start) == len(event) - 2 and b"\r" not in event:
            return event[start + 6 : -2]
    lines = [_value(line) for line in _LINE_END.split(event.removeprefix(b"\xef\xbb\xbf")) if _is_data(line)]
    return b"\n".join(lines) if lines else None


def _is_data(line: bytes) -> bool:
    return line.startswith(b"data:") or line == b"data"


def _value(line: bytes) -> bytes:
    return line[5:].removeprefix(b" ")
