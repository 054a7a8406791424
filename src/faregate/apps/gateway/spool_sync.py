"""The spool's fsync: one thread that puts what was written on the disk, a group at a time.

The writer only leaves a note, once a group: an executor's job, a future and a timer a group cost several calls' worth.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import Final

import structlog

from faregate.apps.gateway.spool_folder import Segment

_log = structlog.get_logger(__name__)

_GATHER_S: Final = 0.02

_sync_file = getattr(os, "fdatasync", os.fsync)


class SyncThread:
    """Syncs segments within about 25 ms of their first write. `note` and `close` are the writer's, of one thread.

    While there is writing the thread looks by itself every few milliseconds; it is woken only after a pause. No lock is
    needed for that: each step below is one step for the interpreter, and their order is what counts.
    """

    def __init__(self) -> None:
        self._noted: deque[Segment] = deque()
        self._sync_lock = threading.Lock()
        self._wake = threading.Event()
        self._asleep = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def note(self, segment: Segment) -> None:
        """Say that a segment was written to since its last sync began (`unsynced` was false)."""
        segment.unsynced = True
        self._noted.append(segment)
        if self._asleep:
            self._wake.set()

    def flush(self) -> None:
        """Return when everything noted before is on the disk, or was tried.

        What is noted meanwhile is left for the next time: under load that would be one more sync for a millisecond's
        worth of writes, and each sync has the pages fault in again.
        """
        with self._sync_lock:
            for _ in range(len(self._noted)):
                segment = self._noted.popleft()
                segment.syncing = True
                # From here on a write notes the segment again; what was written before is in this sync.
                segment.unsynced = False
                try:
                    _sync_file(segment.descriptor)
                except OSError as error:
                    _log.error("spool.sync_failed", error=error.strerror)
                segment.syncing = False

    def close(self) -> None:
        """Sync what is left and end the thread."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._closing:
            if not self._noted:
                self._sleep()
            time.sleep(_GATHER_S)
            self.flush()

    def _sleep(self) -> None:
        """Return at the next note."""
        self._asleep = True
        # What is noted from here on wakes; what was noted just before is seen.
        if not self._noted:
            self._wake.wait()
        self._asleep = False
        self._wake.clear()
