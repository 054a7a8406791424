"""The spool's folder: its lock, the gateway's identity, its segment files, and reading what an earlier process left."""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from faregate.apps.gateway.spool_records import (
    Acknowledged,
    CallMark,
    Header,
    HeldMark,
    HeldRecord,
    Kind,
    Line,
    PlanRecord,
    StartRecord,
    read_lines,
    sequence_of,
    split_number,
)
from faregate.base.errors import ConfigurationError
from faregate.wire.event import WireEvent

_log = structlog.get_logger(__name__)

_IDENTITY: Final = "gateway.json"
_LOCK: Final = "lock"
_SUFFIX: Final = ".spool"
_LINE_BYTES: Final = 4_096
"""How much is read at first to find one record."""


class _Identity(Struct, frozen=True, kw_only=True):
    gateway_id: str


@dataclass(slots=True, eq=False, kw_only=True)
class Segment:
    """One file. `length`: bytes of whole records. `open_starts`: calls begun here that have not ended.

    `memory` is the file mapped for writing, of the segment in use only. `unsynced`: something was written since its
    last sync began; `syncing`: a sync has not ended.
    """

    number: int
    path: Path
    descriptor: int
    length: int
    memory: mmap.mmap | None = None
    last_sequence: int = 0
    open_starts: int = 0
    unsynced: bool = False
    syncing: bool = False

    def line_at(self, place: int) -> Line | None:
        """Return the record that begins there, None where it is damaged."""
        size = _LINE_BYTES
        while b"\n" not in (block := os.pread(self.descriptor, size, place)) and len(block) == size:
            size *= 2
        return next(read_lines(block), None)


class Started(Struct, frozen=True):
    """Where the start of a call stands."""

    segment: Segment
    place: int


@dataclass(slots=True, kw_only=True)
class OpenStart:
    """A call that began and has no end: the first byte came or not, and the output counted at the last checkpoint.

    `held`: at its start and since.
    """

    plan: PlanRecord
    start: StartRecord
    started: Started
    first_byte: bool = False
    output: int = 0
    held: list[HeldRecord]


@dataclass(slots=True, kw_only=True)
class Recovered:
    """What an earlier process left. `open_starts` in the order they were written."""

    segments: list[Segment] = field(default_factory=list)
    next_sequence: int = 1
    acknowledged: int = 0
    open_starts: dict[tuple[str, int], OpenStart] = field(default_factory=dict)


class _Places(Struct):
    """What the records of one segment refer to, by place."""

    plans: dict[int, PlanRecord] = msgspec.field(default_factory=dict)
    calls: dict[int, tuple[str, int]] = msgspec.field(default_factory=dict)


class SpoolFolder:
    """A locked folder; raises `ConfigurationError` where it cannot be had."""

    def __init__(self, folder: Path, gateway_id: Callable[[], str]) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"spool folder {folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise ConfigurationError(f"spool folder {folder}: another gateway process is using it") from error
        self.gateway_id = self._read_identity(gateway_id)
        self.recovered = _recover(folder)
        numbers = [segment.number for segment in self.recovered.segments]
        self._next_number = max(numbers, default=0) + 1

    def new_segment(self, size_bytes: int, header: bytes) -> Segment:
        """Create a file of the full size, so that later writes need no space, with its header in it."""
        number = self._next_number
        path = self._folder / f"{number:010d}{_SUFFIX}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _allocate(descriptor, size_bytes)
            memory = mmap.mmap(descriptor, size_bytes)
            memory[: len(header)] = header
            os.fsync(descriptor)
            _sync_folder(self._folder)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        self._next_number = number + 1
        return Segment(number=number, path=path, descriptor=descriptor, length=len(header), memory=memory)

    def finish(self, segment: Segment) -> None:
        """Cut a segment to its records: nothing more will be written to it."""
        if segment.memory is not None:
            segment.memory.close()
            segment.memory = None
        os.ftruncate(segment.descriptor, segment.length)

    def delete(self, segment: Segment) -> None:
        """Delete a segment that nobody needs."""
        os.close(segment.descriptor)
        segment.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let another process have the folder."""
        os.close(self._lock)

    def _read_identity(self, gateway_id: Callable[[], str]) -> str:
        path = self._folder / _IDENTITY
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Identity).gateway_id
        except FileNotFoundError:
            pass
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f"{path}: {error}; it names this gateway, restore it or start with an empty folder"
            ) from error
        identity = _Identity(gateway_id=gateway_id())
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(identity))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync_folder(self._folder)
        return identity.gateway_id


def _recover(folder: Path) -> Recovered:
    recovered = Recovered()
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        segment = Segment(number=int(path.stem), path=path, descriptor=descriptor, length=0)
        recovered.segments.append(segment)
        damaged = _read_segment(segment, path.read_bytes().rstrip(b"\0"), recovered)
        if damaged:
            _log.error("spool.damaged", segment=path.name, records=damaged)
        os.ftruncate(descriptor, segment.length)
    for start in recovered.open_starts.values():
        start.started.segment.open_starts += 1
    return recovered


def _read_segment(segment: Segment, block: bytes, recovered: Recovered) -> int:
    """Take in a segment's records up to the last whole one; return how many damaged ones lie before it."""
    damaged = pending = 0
    places = _Places()
    for line in read_lines(block):
        if line is None:
            pending += 1
            continue
        damaged += pending
        pending = 0
        segment.length = line.end
        _take(line, places, segment=segment, recovered=recovered)
    return damaged


def _take(line: Line, places: _Places, *, segment: Segment, recovered: Recovered) -> None:
    payload = line.payload
    match line.kind:
        case Kind.HEADER:
            header = msgspec.json.decode(payload, type=Header)
            recovered.next_sequence = max(recovered.next_sequence, header.next_sequence)
            # Whatever came before this segment and is no longer here was acknowledged.
            if len(recovered.segments) == 1:
                recovered.acknowledged = max(recovered.acknowledged, header.next_sequence - 1)
        case Kind.PLAN:
            places.plans[line.begin] = msgspec.json.decode(payload, type=PlanRecord)
        case Kind.START:
            _take_start(line, places, segment=segment, recovered=recovered)
        case Kind.FIRST_BYTE | Kind.CHECKPOINT | Kind.EXTENDED:
            _take_mark(line, recovered)
        case Kind.DONE:
            place, tail = split_number(payload)
            _take_end(sequence_of(tail), places.calls.get(place), segment=segment, recovered=recovered)
        case Kind.EVENT:
            sequence, event = split_number(payload)
            facts = msgspec.json.decode(event, type=WireEvent).faregate
            call = None if facts is None else (facts.request_id, facts.attempt)
            _take_end(sequence, call, segment=segment, recovered=recovered)
        case Kind.ACKNOWLEDGED:
            acknowledged = msgspec.json.decode(payload, type=Acknowledged)
            recovered.acknowledged = max(recovered.acknowledged, acknowledged.through)
        case _:
            _log.warning("spool.record_unknown", kind=line.kind)


def _take_mark(line: Line, recovered: Recovered) -> None:
    if line.kind == Kind.EXTENDED:
        more = msgspec.json.decode(line.payload, type=HeldMark)
        begun = recovered.open_starts.get((more.request_id, more.attempt))
        if begun is not None:
            begun.held += more.held
        return
    mark = msgspec.json.decode(line.payload, type=CallMark)
    begun = recovered.open_starts.get((mark.request_id, mark.attempt))
    if begun is not None:
        begun.first_byte = True
        begun.output = max(begun.output, mark.output)


def _take_start(line: Line, places: _Places, *, segment: Segment, recovered: Recovered) -> None:
    plan_at, record = split_number(line.payload)
    plan = places.plans.get(plan_at)
    if plan is None:
        _log.error("spool.start_without_plan", segment=segment.path.name, place=line.begin)
        return
    start = msgspec.json.decode(record, type=StartRecord)
    call = places.calls[line.begin] = (start.request_id, plan.attempt)
    started = Started(segment, line.begin)
    recovered.open_starts[call] = OpenStart(plan=plan, start=start, started=started, held=[*start.held])


def _take_end(sequence: int, call: tuple[str, int] | None, *, segment: Segment, recovered: Recovered) -> None:
    segment.last_sequence = sequence
    recovered.next_sequence = max(recovered.next_sequence, sequence + 1)
    if call is not None:
        recovered.open_starts.pop(call, None)


def _allocate(descriptor: int, size_bytes: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size_bytes)
    else:
        os.ftruncate(descriptor, size_bytes)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
