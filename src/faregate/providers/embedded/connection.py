"""One connection to the provider's file, its transactions, and its faults in Faregate's words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faregate.base.errors import Unavailable
from faregate.providers.embedded.schema import SCHEMA, SET_INVOICES_ASIDE, TAKE_INVOICES_OVER
from faregate.providers.sqlite_file import SqliteFile


class ProviderFile(SqliteFile):
    """The file of the embedded provider, with its tables."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        columns = {row["name"] for row in self.connection.execute("PRAGMA table_info(invoice)")}
        if columns and "total" not in columns:
            steps = ("BEGIN IMMEDIATE;", SET_INVOICES_ASIDE, SCHEMA, TAKE_INVOICES_OVER, "COMMIT;")
            self.connection.executescript("".join(steps))
        self.connection.executescript(SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a writing transaction: commits at the end, rolls back on an error.

        `Unavailable` where the file cannot be written.
        """
        try:
            with super().transaction() as connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise Unavailable(f"the embedded billing provider's file did not answer: {error}") from error

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for single reading statements."""
        with self._turn:
            yield self.connection
