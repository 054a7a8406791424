"""The spool: the gateway's own log on disk, from which events are shipped and, after a crash, calls are billed.

Every record is in the file's pages, by a shared mapping, before the step it announces: like write(2) it survives the
process's death (kill -9), but without giving the interpreter's lock away. A group fsync within 25 ms makes it survive a
power cut. Segments are allocated in full beforehand, so that running calls can be finished on a full disk. A segment is
deleted, oldest first, when its events are acknowledged and its starts have ended.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from msgspec import Struct

from faregate.apps.gateway.call_records import PlanParts, event_of, origin_of, parts_of
from faregate.apps.gateway.spool_folder import Segment, SpoolFolder, Started
from faregate.apps.gateway.spool_records import (
    Acknowledged,
    CallMark,
    Header,
    HeldMark,
    Kind,
    PlanRecord,
    StartRecord,
    frame,
    frame_done,
    frame_event,
    frame_start,
    read_lines,
    sequence_of,
    split_number,
)
from faregate.apps.gateway.spool_sync import SyncThread
from faregate.base.errors import Unavailable
from faregate.base.failpoints import START_WRITTEN, reach

_log = structlog.get_logger(__name__)

_READ_BYTES: Final = 1 << 20
_MOST_RECENT_BYTES: Final = 8 << 20
"""How much of what was written is kept at hand for the shipper; beyond, it is read back."""

_KEPT_SHARE: Final = 16
"""What of the spool's size is kept after it was acknowledged: 64 MB of a gigabyte, some ten thousands of calls."""

_MOST_FRAME_BYTES: Final = 128
"""More than what frames, places and a sequence number add to a plan and its start, or to an event."""

_ENDS: Final = frozenset((Kind.DONE, Kind.EVENT))
_ENCODER: Final = msgspec.json.Encoder()


class SpoolUnavailable(Unavailable):
    """The spool is full or its disk fails: calls that must be recorded first cannot be made."""


class Spool:
    """One process's spool. All methods run in the event loop's thread; only fsync runs beside it."""

    def __init__(self, folder: SpoolFolder, *, segment_bytes: int, most_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._most_bytes = most_bytes
        self._keep_bytes = most_bytes // _KEPT_SHARE
        recovered = folder.recovered
        self.gateway_id = folder.gateway_id
        self.next_sequence = recovered.next_sequence
        self.acknowledged = recovered.acknowledged
        self._last_written = recovered.next_sequence - 1
        self._segments: deque[Segment] = deque(recovered.segments)
        self._finished_bytes = sum(segment.length for segment in self._segments)
        self._active = self._open_segment()
        self._read_from: Segment = self._segments[0]
        self._read_offset = 0
        self._read_through = recovered.acknowledged
        # While a deque: all events that were not read, by sequence number. None: they are read from the files.
        self._recent: deque[tuple[int, bytes]] | None = None
        self._recent_bytes = 0
        self._plans: dict[PlanParts, int] = {}  # where they stand in the active segment
        self._unwritten: list[tuple[int, bytes, Started | None, bytes]] = []
        self._sync = SyncThread()
        self.on_event: Callable[[], None] = _nothing  # called when there is something to read again

    def require_room(self) -> None:
        """Raise `SpoolUnavailable` where a call's end could not be written: no call may be made."""
        if self._unwritten:
            self.retry()
        if self._unwritten or self._finished_bytes + self._active.length >= self._most_bytes:
            raise SpoolUnavailable("the spool is full or cannot be written")

    def start(self, plan: PlanParts, start: bytes) -> Started:
        """Write an encoded `StartRecord` ahead of its call; raises `SpoolUnavailable`: no call may be made."""
        self.require_room()
        try:
            active = self._with_room(len(start) + len(plan.record))
            plan_at = self._plans.get(plan)
            if plan_at is None:
                plan_at = self._plans[plan] = active.length
                self._write(active, frame(Kind.PLAN, plan.record))
            place = active.length
            self._write(active, frame_start(plan_at, start))
        except OSError as error:
            _log.error("spool.write_failed", error=error.strerror)
            raise SpoolUnavailable("the spool cannot be written") from error
        active.open_starts += 1
        reach(START_WRITTEN)
        return Started(active, place)

    def mark(self, kind: Kind, mark: CallMark | HeldMark) -> None:
        """Write how far a started call has come; a failure only makes a later bill smaller."""
        try:
            self._write_frame(kind, mark)
        except OSError as error:
            _log.warning("spool.mark_failed", error=error.strerror)

    def take_sequence(self) -> int:
        """Return the next event's sequence number; the event must be written before another number is taken."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        return sequence

    def end(self, sequence: int, event: bytes, *, started: Started | None = None, tail: bytes = b"") -> None:
        """Write a call's event; of a call that was `started` in the segment in use, only the event's `tail`.

        On a failing disk it is kept in memory and written as soon as that works.
        """
        if self._unwritten:
            self._unwritten.append((sequence, event, started, tail))
            return
        try:
            self._write_end(sequence, event, started=started, tail=tail)
        except OSError as error:
            _log.error("spool.write_failed", error=error.strerror, kept_in_memory=True)
            self._unwritten.append((sequence, event, started, tail))

    def retry(self) -> None:
        """Write what could not be written before."""
        while self._unwritten:
            sequence, event, started, tail = self._unwritten[0]
            try:
                self._write_end(sequence, event, started=started, tail=tail)
            except OSError:
                return
            del self._unwritten[0]

    def read(self, most: int) -> list[tuple[int, bytes]]:
        """Return up to `most` unacknowledged events in the order of their sequence, each once."""
        if self._recent is not None:
            return self._read_recent(self._recent, most)
        events: list[tuple[int, bytes]] = []
        while len(events) < most:
            block = os.pread(
                self._read_from.descriptor,
                min(_READ_BYTES, self._read_from.length - self._read_offset),
                self._read_offset,
            )
            taken = self._read_block(block, most, events)
            self._read_offset += taken
            if taken == 0 and not self._next_segment():
                # Everything was read: what is written from now on need not be read back.
                self._recent = deque()
                break
        return events

    def acknowledge(self, through: int) -> None:
        """Note what the control plane has and delete what nobody needs any more."""
        if through <= self.acknowledged:
            return
        self.acknowledged = through
        try:
            self._write_frame(Kind.ACKNOWLEDGED, Acknowledged(through=through))
        except OSError as error:
            _log.warning("spool.mark_failed", error=error.strerror)
        self._delete_finished()

    def rewind(self, through: int) -> None:
        """Take back acknowledgements: what is kept beyond that sequence number is read, and shipped, again."""
        self.acknowledged = self._read_through = through
        self._read_back(through)

    def bytes_kept(self) -> int:
        """Return the bytes written in all segments."""
        return self._finished_bytes + self._active.length

    @property
    def unshipped_events(self) -> int:
        """Return how many events the control plane has not acknowledged."""
        return self.next_sequence - 1 - self.acknowledged

    async def sync(self) -> None:
        """Return when everything written so far is on the disk."""
        await asyncio.to_thread(self._sync.flush)

    async def close(self) -> None:
        """Put everything on the disk and let go of the folder."""
        self.retry()
        await asyncio.to_thread(self._sync.close)
        self._folder.finish(self._active)
        for segment in self._segments:
            os.close(segment.descriptor)
        self._folder.close()

    def _write_end(self, sequence: int, event: bytes, *, started: Started | None, tail: bytes) -> None:
        active = self._with_room(len(event))
        if started is not None and started.segment is active and tail:
            self._write(active, frame_done(started.place, tail))
        else:
            self._write(active, frame_event(sequence, event))
        active.last_sequence = self._last_written = sequence
        if started is not None:
            started.segment.open_starts -= 1
        recent = self._recent
        if recent is None:
            self.on_event()
            return
        recent.append((sequence, event))
        self._recent_bytes += len(event)
        if len(recent) == 1:
            self.on_event()
        elif self._recent_bytes > _MOST_RECENT_BYTES:
            self._read_back(recent[0][0] - 1)

    def _write_frame(self, kind: Kind, record: Struct) -> None:
        line = frame(kind, _ENCODER.encode(record))
        self._write(self._with_room(len(line)), line)

    def _with_room(self, payload_bytes: int) -> Segment:
        """Return the segment in use, a new one where that has no room for payloads of so many bytes."""
        if self._active.length + payload_bytes + _MOST_FRAME_BYTES > self._segment_bytes:
            self._rotate()
        return self._active

    def _write(self, active: Segment, line: bytes) -> None:
        begin = active.length
        active.length = end = begin + len(line)
        assert active.memory is not None  # noqa: S101 - the segment in use is mapped
        active.memory[begin:end] = line
        if not active.unsynced:
            self._sync.note(active)

    def _rotate(self) -> None:
        full = self._active
        self._active = self._open_segment()
        self._plans.clear()
        self._finished_bytes += full.length
        self._folder.finish(full)
        self._delete_finished()

    def _open_segment(self) -> Segment:
        header = Header(gateway_id=self._folder.gateway_id, next_sequence=self._last_written + 1)
        segment = self._folder.new_segment(self._segment_bytes, frame(Kind.HEADER, _ENCODER.encode(header)))
        self._segments.append(segment)
        return segment

    def _read_recent(self, recent: deque[tuple[int, bytes]], most: int) -> list[tuple[int, bytes]]:
        events = [recent.popleft() for _ in range(min(most, len(recent)))]
        if events:
            self._read_through = events[-1][0]
            self._recent_bytes -= sum([len(event) for _, event in events])
        return events

    def _read_back(self, after: int) -> None:
        """Read from the files from now on, from the segment of the first event after that one."""
        self._read_from = next(segment for segment in self._segments if self._may_hold(segment, after))
        self._read_offset = 0
        self._recent = None
        self._recent_bytes = 0

    def _read_block(self, block: bytes, most: int, events: list[tuple[int, bytes]]) -> int:
        taken = 0
        for line in read_lines(block):
            if line is None:
                continue
            taken = line.end
            if line.kind not in _ENDS:
                continue
            number, written = split_number(line.payload)
            is_whole = line.kind == Kind.EVENT
            sequence = number if is_whole else sequence_of(written)
            if sequence <= max(self._read_through, self.acknowledged):
                continue
            self._read_through = sequence
            event = written if is_whole else self._joined(number, written)
            if event:
                events.append((sequence, event))
                if len(events) == most:
                    break
        return taken

    def _joined(self, place: int, tail: bytes) -> bytes:
        """Return the event of a call by its start and its tail; b"" where the start, or its plan, is damaged."""
        segment = self._read_from
        start_line = segment.line_at(place)
        if start_line is not None:
            plan_at, record = split_number(start_line.payload)
            plan_line = segment.line_at(plan_at)
            if plan_line is not None:
                start = msgspec.json.decode(record, type=StartRecord)
                return event_of(
                    parts_of(msgspec.json.decode(plan_line.payload, type=PlanRecord)),
                    start.request_id,
                    bytes(start.request),
                    origin=origin_of(self.gateway_id, start.epoch),
                    tail=tail,
                )
        _log.error("spool.event_lost", segment=segment.path.name, sequence=sequence_of(tail))
        return b""

    def _next_segment(self) -> bool:
        following = [segment for segment in self._segments if segment.number > self._read_from.number]
        if not following:
            return False
        self._read_from, self._read_offset = following[0], 0
        return True

    def _may_hold(self, segment: Segment, through: int) -> bool:
        return segment.last_sequence > through or segment is self._active

    def _delete_finished(self) -> None:
        """Delete what is acknowledged, but keep some of it for a ledger that is put back to an earlier state."""
        while len(self._segments) > 1 and self._finished_bytes > self._keep_bytes:
            oldest = self._segments[0]
            if oldest.open_starts or oldest.last_sequence > self.acknowledged or oldest.unsynced or oldest.syncing:
                return
            self._segments.popleft()
            self._finished_bytes -= oldest.length
            if self._read_from is oldest:
                self._read_from, self._read_offset = self._segments[0], 0
            self._folder.delete(oldest)


def _nothing() -> None:
    return
