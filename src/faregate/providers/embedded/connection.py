"""One connection to the provider's file, its transactions, and its faults in Faregate's words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from faregate.base.errors import Unavailable
from faregate.providers.embedded.schema import SCHEMA, SET_INVOICES_ASIDE, TAKE_INVOICES_OVER

_BUSY_TIMEOUT_S: Final = 5.0


class ProviderFile:
    """The file is durable at every commit (WAL, synchronous=FULL). Threads take turns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._turn = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        columns = {row["name"] for row in self._connection.execute("PRAGMA table_info(invoice)")}
        if columns and "total" not in columns:
            steps = ("BEGIN IMMEDIATE;", SET_INVOICES_ASIDE, SCHEMA, TAKE_INVOICES_OVER, "COMMIT;")
            self._connection.executescript("".join(steps))
        self._connection.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a writing transaction: commits at the end, rolls back on an error.

        `Unavailable` where the file cannot be written.
        """
        with self._turn:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute("ROLLBACK")
                    raise
                self._connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                raise Unavailable(f"the embedded billing provider's file did not answer: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for single reading statements."""
        with self._turn:
            yield self._connection

    def close(self) -> None:
        """Close the file."""
        with self._turn:
            self._connection.close()
