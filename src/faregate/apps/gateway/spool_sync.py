"""The spool's fsync: one thread that puts what was written on the disk, a group at a time.

The writer only raises a flag, once a group: an executor's job, a future and a timer a group cost several calls' worth.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final

import structlog

from faregate.apps.gateway.spool_folder import Segment

_log = structlog.get_logger(__name__)

_GATHER_S: Final = 0.008

_sync_file = getattr(os, "fdatasync", os.fsync)


class SyncThread:
    """Syncs segments within about 10 ms of their first write. `note` and `close` are the writer's, of one thread."""

    def __init__(self) -> None:
        self._noted: list[Segment] = []
        self._list_lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def note(self, segment: Segment) -> None:
        """Say that a segment was written to since its last sync began (`unsynced` was false)."""
        with self._list_lock:
            segment.unsynced = True
            self._noted.append(segment)
        self._wake.set()

    def flush(self) -> None:
        """Return when everything noted is on the disk, or was tried."""
        with self._sync_lock:
            with self._list_lock:
                segments, self._noted = self._noted, []
                for segment in segments:
                    segment.syncing = True
                    # From here on a write notes the segment again; what was written before is in this sync.
                    segment.unsynced = False
            for segment in segments:
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
            self._wake.wait()
            self._wake.clear()
            if not self._closing:
                time.sleep(_GATHER_S)
                self.flush()
