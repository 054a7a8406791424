"""The spool: the gateway's own log on disk, from which events are shipped and, after a crash, calls are billed.

Every record is in the file's pages, by a shared mapping, before the step it announces: like write(2) it survives the
process's death (kill -9), but without giving the interpreter's lock away. A group fsync within 10 ms makes it survive a
power cut. Segments are allocated in full beforehand, so that running calls can be finished on a full disk. A segment is
deleted, oldest first, when its events are acknowledged and its starts have ended.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import structlog

from faregate.apps.gateway.spool_folder import Segment, SpoolFolder
from faregate.apps.gateway.spool_records import (
    Acknowledged,
    CallMark,
    Header,
    Kind,
    frame,
    frame_event,
    frame_start,
    read_lines,
    split_event,
)
from faregate.apps.gateway.spool_sync import SyncThread
from faregate.base.errors import Unavailable

_log = structlog.get_logger(__name__)

_READ_BYTES: Final = 1 << 20
_MOST_RECENT_BYTES: Final = 8 << 20
"""How much of what was written is kept at hand for the shipper; beyond, it is read back."""

_ENCODER: Final = msgspec.json.Encoder()


class SpoolUnavailable(Unavailable):
    """The spool is full or its disk fails: calls that must be recorded first cannot be made."""


class Spool:
    """One process's spool. All methods run in the event loop's thread; only fsync runs beside it."""

    def __init__(self, folder: SpoolFolder, *, segment_bytes: int, most_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._most_bytes = most_bytes
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
        self._unwritten: list[tuple[int, bytes, Segment | None]] = []
        self._sync = SyncThread()
        self.on_event: Callable[[], None] = _nothing  # called when there is something to read again

    def start(self, record: bytes) -> Segment:
        """Write a start (an encoded `StartRecord`) ahead of its call; raises `SpoolUnavailable`: nothing is written."""
        if self._unwritten:
            self.retry()
        if self._unwritten or self._finished_bytes + self._active.length >= self._most_bytes:
            raise SpoolUnavailable("the spool is full or cannot be written")
        try:
            self._write(frame_start(record))
        except OSError as error:
            _log.error("spool.write_failed", error=error.strerror)
            raise SpoolUnavailable("the spool cannot be written") from error
        self._active.open_starts += 1
        return self._active

    def mark(self, kind: Kind, mark: CallMark) -> None:
        """Write how far a started call has come; a failure only makes a later bill smaller."""
        try:
            self._write(frame(kind, _ENCODER.encode(mark)))
        except OSError as error:
            _log.warning("spool.mark_failed", error=error.strerror)

    def take_sequence(self) -> int:
        """Return the next event's sequence number; the event must be written before another number is taken."""
        sequence = self.next_sequence
        self.next_sequence = sequence + 1
        return sequence

    def end(self, sequence: int, event: bytes, started_in: Segment | None) -> None:
        """Write a call's event. On a failing disk it is kept in memory and written as soon as that works."""
        if self._unwritten:
            self._unwritten.append((sequence, event, started_in))
            return
        try:
            self._write_event(sequence, event, started_in)
        except OSError as error:
            _log.error("spool.write_failed", error=error.strerror, kept_in_memory=True)
            self._unwritten.append((sequence, event, started_in))

    def retry(self) -> None:
        """Write what could not be written before."""
        while self._unwritten:
            try:
                self._write_event(*self._unwritten[0])
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
            self._write(frame(Kind.ACKNOWLEDGED, _ENCODER.encode(Acknowledged(through=through))))
        except OSError as error:
            _log.warning("spool.mark_failed", error=error.strerror)
        self._delete_finished()

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

    def _write_event(self, sequence: int, event: bytes, started_in: Segment | None) -> None:
        self._write(frame_event(sequence, event))
        self._active.last_sequence = self._last_written = sequence
        if started_in is not None:
            started_in.open_starts -= 1
        recent = self._recent
        if recent is None:
            self.on_event()
            return
        recent.append((sequence, event))
        self._recent_bytes += len(event)
        if len(recent) == 1:
            self.on_event()
        elif self._recent_bytes > _MOST_RECENT_BYTES:
            self._forget_recent(recent)

    def _write(self, line: bytes) -> None:
        active = self._active
        begin = active.length
        end = begin + len(line)
        if end > self._segment_bytes:
            active = self._rotate()
            begin = active.length
            end = begin + len(line)
        assert active.memory is not None  # noqa: S101 - the segment in use is mapped
        active.memory[begin:end] = line
        active.length = end
        if not active.unsynced:
            self._sync.note(active)

    def _rotate(self) -> Segment:
        full = self._active
        self._active = self._open_segment()
        self._finished_bytes += full.length
        self._folder.finish(full)
        self._delete_finished()
        return self._active

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

    def _forget_recent(self, recent: deque[tuple[int, bytes]]) -> None:
        """Go back to reading the files, from the segment of the first event that was not read."""
        first = recent[0][0]
        self._read_from = next(segment for segment in self._segments if segment.last_sequence >= first)
        self._read_offset = 0
        self._recent = None
        self._recent_bytes = 0

    def _read_block(self, block: bytes, most: int, events: list[tuple[int, bytes]]) -> int:
        taken = 0
        for record in read_lines(block):
            if record is None:
                continue
            taken, kind, payload = record
            if kind == Kind.EVENT:
                sequence, event = split_event(payload)
                if sequence > max(self._read_through, self.acknowledged):
                    self._read_through = sequence
                    events.append((sequence, event))
                    if len(events) == most:
                        return taken
        return taken

    def _next_segment(self) -> bool:
        following = [segment for segment in self._segments if segment.number > self._read_from.number]
        if not following:
            return False
        self._read_from, self._read_offset = following[0], 0
        return True

    def _delete_finished(self) -> None:
        while len(self._segments) > 1:
            oldest = self._segments[0]
            if oldest.open_starts or oldest.last_sequence > self.acknowledged or oldest.unsynced or oldest.syncing:
                return
            self._segments.popleft()
            self._finished_bytes -= oldest.length
            if self._read_from is oldest:
                self._read_from, self._read_offset = self._segments[0], 0
            self._folder.delete(oldest)


def open_spool(folder: Path, *, gateway_id: Callable[[], str], segment_bytes: int, most_bytes: int) -> Spool:
    """Lock the folder, read what an earlier process left, and begin a new segment.

    Raises `ConfigurationError` where another process has the folder or it cannot be used.
    """
    return Spool(SpoolFolder(folder, gateway_id), segment_bytes=segment_bytes, most_bytes=most_bytes)


def _nothing() -> None:
    return
