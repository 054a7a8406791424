"""The spool's records: one line each, `<kind><CRC-32 of the payload, 8 hex digits> <payload>LF`.

    H  header      Header                       first line of a segment
    S  start       StartRecord                  before a strict call goes upstream
    F  first byte  CallMark                     the upstream's head is here
    C  checkpoint  CallMark                     output counted so far
    E  event       `<sequence> <event JSON>`    the call's end; also ends its start
    A  acknowledged  Acknowledged               what the control plane has

JSON holds no raw line feed, so a reader finds the next record after a damaged one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from msgspec import Raw, Struct

_FRAME_BYTES: Final = 10
"""Kind, CRC and blank before the payload."""


class Kind(StrEnum):
    """What a record says."""

    HEADER = "H"
    START = "S"
    FIRST_BYTE = "F"
    CHECKPOINT = "C"
    EVENT = "E"
    ACKNOWLEDGED = "A"


class Header(Struct, frozen=True, kw_only=True):
    """`next_sequence`: of the first event that this segment or a later one will hold."""

    gateway_id: str
    next_sequence: int


class HeldRecord(Struct, frozen=True, kw_only=True):
    """Units of a lease that the call holds, and how its tokens count for that lease's price."""

    lease_id: str
    price_id: str
    units: int
    per_input: int
    per_output: int


class StartRecord(Struct, frozen=True, kw_only=True):
    """Everything a later process needs to bill a call that this one never finished.

    `request` is an encoded `WireRequest`.
    """

    request_id: str
    attempt: int
    epoch: int
    route_id: str
    key_id: str
    user_id: str | None
    company_id: str
    replay: bool
    subscription_id: str
    request: Raw
    input_estimate: int
    held: list[HeldRecord]


class CallMark(Struct, frozen=True, kw_only=True):
    """How far a started call has come; `output` in tokens."""

    request_id: str
    attempt: int
    output: int = 0


class Acknowledged(Struct, frozen=True, kw_only=True):
    """All events up to `through` are durable in the control plane."""

    through: int


def frame(kind: Kind, payload: bytes) -> bytes:
    """Return the record's line."""
    return b"%c%08x %b\n" % (ord(kind), zlib.crc32(payload), payload)


def frame_start(record: bytes) -> bytes:
    """Return a start's line."""
    return b"S%08x %b\n" % (zlib.crc32(record), record)


def frame_event(sequence: int, event: bytes) -> bytes:
    """Return an event's line."""
    payload = b"%d %b" % (sequence, event)
    return b"E%08x %b\n" % (zlib.crc32(payload), payload)


def read_lines(block: bytes) -> Iterator[tuple[int, str, bytes] | None]:
    """Yield (offset after the line, kind, payload) for each whole line, None for a damaged one."""
    start = 0
    while (end := block.find(b"\n", start)) >= 0:
        line = block[start:end]
        start = end + 1
        payload = line[_FRAME_BYTES:]
        if line[1:_FRAME_BYTES] == b"%08x " % zlib.crc32(payload):
            yield start, line[:1].decode("latin-1"), payload
        else:
            yield None


def split_event(payload: bytes) -> tuple[int, bytes]:
    """Return an event record's sequence number and the event."""
    sequence, _, event = payload.partition(b" ")
    return int(sequence), event
