"""What streams of typed server-sent events have in common: cutting, passing on, holding back the end, closing early."""

from __future__ import annotations

from typing import Final

from faregate.base.limits import MAX_USAGE_EVENT_BYTES
from faregate.wire.sse import EventSplitter

EVENT_END: Final = b"\n\n"


class EventStream:
    """Passes every event on as it came, up to the one that ends the stream.

    A dialect's reader says in `_read` what an event's data means, and whether it is the last one. Events over the limit
    are passed on in pieces, which `_read_piece` gets.
    """

    __slots__ = ("_limit", "_piecewise", "_splitter", "finished", "last_bytes")

    def __init__(self, *, limit: int = MAX_USAGE_EVENT_BYTES) -> None:
        self._splitter = EventSplitter(limit)
        self._limit = limit
        self._piecewise = False
        self.finished = False
        self.last_bytes = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take the upstream's next bytes and return what to send to the caller now; may be empty."""
        if self.finished:
            self.last_bytes += chunk
            return b""
        passing: list[bytes] = []
        events = self._splitter.feed(chunk)
        piece = events[-1][0] if events and self._splitter.inside_event else None
        for raw, data in events:
            if self.finished:
                self.last_bytes += raw
            elif self._ends(raw, data, whole=raw is not piece):
                self.finished = True
                self.last_bytes = raw
            else:
                passing.append(raw)
        if self.finished:
            self.last_bytes += self._splitter.rest()
        return passing[0] if len(passing) == 1 else b"".join(passing)

    def end(self) -> bytes:
        """Return the bytes still to be sent after the upstream's end."""
        last, self.last_bytes = self.last_bytes + self._splitter.rest(), b""
        return last

    def _drop_partial(self) -> bytes:
        """Forget an event that came only in part; return what ends the pieces of it that have been passed on."""
        self._splitter.rest()
        self.last_bytes = b""
        return EVENT_END if self._piecewise else b""

    def _ends(self, raw: bytes, data: bytes | None, *, whole: bool) -> bool:
        if data is not None:
            return self._read(data)
        begun, self._piecewise = self._piecewise, not whole
        if not begun and whole and len(raw) <= self._limit:
            return False
        return self._read_piece(raw, first=not begun, last=whole)

    def _read(self, data: bytes) -> bool:
        """Read an event and return whether it is the last one of the stream."""
        raise NotImplementedError

    def _read_piece(self, raw: bytes, *, first: bool, last: bool) -> bool:
        """Read a piece of an event over the limit; return whether the event, now whole, is the last one.

        A dialect whose large events bear no usage leaves them unread.
        """
        del raw, first, last
        return False
