"""Finds one object in a JSON document that is read in pieces and never kept: the usage in an event over the limit.

The last event of a Responses stream bears the whole response, its instructions and tools included, so it has no size of
its own. Strings are skipped as a whole, so the work is a few steps a member, whatever the length of the texts.
"""

from __future__ import annotations

import re
from typing import Final

MAX_OBJECT_BYTES: Final = 64 << 10
"""What is kept of the object; a longer one is not found."""

_STRUCTURE: Final = re.compile(rb'["{}\[\]]')
# Possessive: a text of a million escapes leaves nothing to go back to.
_STRING_REST: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_QUOTE: Final = ord('"')
_OPENING: Final = b"{["
_LONGEST_NAME: Final = 64


class ObjectFinder:
    """Feed it a document in any pieces; `found` is the last whole object at the path `(outer, inner)`, as bytes."""

    __slots__ = ("_depth", "_escaped", "_in_object", "_in_string", "_kept", "_names", "_path", "_string", "found")

    def __init__(self, outer: bytes, inner: bytes) -> None:
        self._path = (outer, inner)
        self._names = [b"", b""]
        # A string in an array is no name.
        self._in_object = [False, False]
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._string = b""
        self._kept: bytes | None = None
        self.found: bytes | None = None

    def feed(self, piece: bytes) -> None:
        """Read on."""
        place = kept_from = 0
        while place < len(piece):
            if self._in_string:
                place = self._skip_string(piece, place)
                continue
            match = _STRUCTURE.search(piece, place)
            if match is None:
                break
            place = match.end()
            if piece[match.start()] == _QUOTE:
                self._in_string, self._string = True, b""
            elif piece[match.start()] in _OPENING:
                if self._open(piece[match.start()]):
                    self._kept, kept_from = b"", match.start()
            else:
                self._depth -= 1
                if self._kept is not None and self._depth == len(self._path):
                    self.found, self._kept = self._kept + piece[kept_from:place], None
        if self._kept is not None:
            self._kept += piece[kept_from:]
            if len(self._kept) > MAX_OBJECT_BYTES:
                self._kept = None

    def _open(self, opening: int) -> bool:
        """Go one level down; return whether it is the object looked for: the names before it are the path's."""
        depth, is_object = self._depth, opening == _OPENING[0]
        self._depth = depth + 1
        if 0 <= depth < len(self._path):
            self._in_object[depth] = is_object
        return depth == len(self._path) and is_object and all(self._in_object) and tuple(self._names) == self._path

    def _skip_string(self, piece: bytes, place: int) -> int:
        if self._escaped:
            self._escaped = False
            self._string += piece[place : place + 1]
            place += 1
        rest = _STRING_REST.match(piece, place)
        end = place if rest is None else rest.end()
        room = _LONGEST_NAME - len(self._string)
        self._string += piece[place : min(end, place + room)]
        if end == len(piece):
            return end
        if piece[end] == _QUOTE:
            self._in_string = False
            if 1 <= self._depth <= len(self._path) and self._in_object[self._depth - 1]:
                self._names[self._depth - 1] = self._string
        else:
            self._escaped = True
        return end + 1
