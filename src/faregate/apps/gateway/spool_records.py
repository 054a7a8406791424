"""The spool's records: one line each, `<kind><CRC-32 of the payload, 8 hex digits> <payload>LF`.

H  header      Header                       first line of a segment
P  plan        PlanRecord                   before the first start of a plan in the segment
S  start       `<place of the plan> <StartRecord>`  before a strict call that streams goes upstream
F  first byte  CallMark                     the upstream's head is here
C  checkpoint  CallMark                     output counted so far
X  extended    HeldMark                     a stream that holds credit as it goes holds more
D  done        `<place of the start> <event's tail>`  the end of a call that began in this segment
E  event       `<sequence> <event JSON>`    the end of every other call
A  acknowledged  Acknowledged               what the control plane has

A place is the offset of a line in its segment: what calls have in common, and what a start has said, is written once.
An event's tail is its JSON from its sequence number on; what stands before it is in its plan and its start.
JSON holds no raw line feed, so a reader finds the next record after a damaged one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple
from zlib import crc32

from msgspec import Raw, Struct

_FRAME_BYTES: Final = 10
"""Kind, CRC and blank before the payload."""


class Kind(StrEnum):
    """What a record says."""

    HEADER = "H"
    PLAN = "P"
    START = "S"
    FIRST_BYTE = "F"
    CHECKPOINT = "C"
    EXTENDED = "X"
    DONE = "D"
    EVENT = "E"
    ACKNOWLEDGED = "A"


class Header(Struct, frozen=True, kw_only=True):
    """`next_sequence`: of the first event that this segment or a later one will hold."""

    gateway_id: str
    next_sequence: int


class NeedRecord(Struct, frozen=True, array_like=True):
    """How a call's tokens count for a price: units per input and per output token."""

    price_id: str
    per_input: int
    per_output: int


class PlanRecord(Struct, frozen=True, kw_only=True):
    """What all calls of one key on one route have in common.

    `usage_names`: those of its dialect (`seam.UsageNames`); records from before there were several are of chats.
    """

    attempt: int
    route_id: str
    route: str
    key_id: str
    user_id: str | None
    company_id: str
    replay: bool
    needs: list[NeedRecord]
    usage_names: tuple[str, ...] = ("prompt_tokens", "completion_tokens", "total_tokens")


class HeldRecord(Struct, frozen=True, array_like=True):
    """Units of a lease that the call holds."""

    lease_id: str
    price_id: str
    units: int


class StartRecord(Struct, frozen=True, array_like=True):
    """With its plan, everything a later process needs to bill a call that this one never finished.

    `request` is an encoded `WireRequest`.
    """

    request_id: str
    epoch: int
    input_estimate: int
    held: list[HeldRecord]
    request: Raw


class CallMark(Struct, frozen=True, kw_only=True):
    """How far a started call has come; `output` in tokens."""

    request_id: str
    attempt: int
    output: int = 0


class HeldMark(Struct, frozen=True, kw_only=True):
    """Units that a started call holds beside those of its start."""

    request_id: str
    attempt: int
    held: list[HeldRecord]


class Acknowledged(Struct, frozen=True, kw_only=True):
    """All events up to `through` are durable in the control plane."""

    through: int


def frame(kind: Kind, payload: bytes) -> bytes:
    """Return the record's line."""
    return b"%c%08x %b\n" % (ord(kind), crc32(payload), payload)


def frame_start(plan_at: int, start: bytes) -> bytes:
    """Return the line of an encoded `StartRecord`."""
    payload = b"%d %b" % (plan_at, start)
    return b"S%08x %b\n" % (crc32(payload), payload)


def frame_done(start_at: int, tail: bytes) -> bytes:
    """Return the line of an event's tail."""
    payload = b"%d %b" % (start_at, tail)
    return b"D%08x %b\n" % (crc32(payload), payload)


def frame_event(sequence: int, event: bytes) -> bytes:
    """Return an event's line."""
    payload = b"%d %b" % (sequence, event)
    return b"E%08x %b\n" % (crc32(payload), payload)


class Line(NamedTuple):
    """A whole record; `begin` and `end` are its offsets in the block it was read from."""

    begin: int
    end: int
    kind: str
    payload: bytes


def read_lines(block: bytes) -> Iterator[Line | None]:
    """Yield each whole line, None for a damaged one."""
    begin = 0
    while (feed := block.find(b"\n", begin)) >= 0:
        line, place, begin = block[begin:feed], begin, feed + 1
        payload = line[_FRAME_BYTES:]
        if line[1:_FRAME_BYTES] == b"%08x " % crc32(payload):
            yield Line(place, begin, line[:1].decode("latin-1"), payload)
        else:
            yield None


def split_number(payload: bytes) -> tuple[int, bytes]:
    """Return the number that a payload begins with (a sequence number, a place) and what follows it."""
    number, _, rest = payload.partition(b" ")
    return int(number), rest


def sequence_of(tail: bytes) -> int:
    """Return the sequence number that an event's tail begins with."""
    return int(tail.partition(b",")[0])
