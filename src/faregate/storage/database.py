"""One database: a single writing thread, and readers beside it.

SQLite: WAL with synchronous=FULL, so a commit is on disk before it is acknowledged; one process holds the file by a
lock. PostgreSQL: the same code; the writing thread keeps one connection, as a single writer per control plane process.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from faregate.base.errors import ConfigurationError

T = TypeVar("T")
Transaction = Connection
"""An open transaction: storage functions take it first."""
StoreFault = SQLAlchemyError
"""The database failed or refused: not the fault of what was written."""

_READER_THREADS = 3

_CHECKPOINT_PAGES: Final = 16_000
"""When SQLite's log (of 4 KB pages) is copied into the file: seldom, since hot pages are copied once a time."""
_LOG_BYTES: Final = 64 << 20
"""What is left of the log's file once it was copied."""


class Database:
    """Open it once a process; `close` it at the end.

    `write` runs one function at a time, each in its own transaction.
    """

    def __init__(self, url: str) -> None:
        self.after_commit: Callable[[], None] = _nothing
        """Called on the writing thread after every commit of `write`: wakes whoever follows the state."""
        self._lock_file = _lock_sqlite_file(url)
        self.engine = _create_engine(url)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._readers = ThreadPoolExecutor(_READER_THREADS, thread_name_prefix="reader")

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """Open a writing transaction on the calling thread: commits at the end, rolls back on an error."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.execute(text("BEGIN IMMEDIATE"))
            with _committing(connection):
                yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """Open a reading transaction on the calling thread: one consistent view, nothing written."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.execute(text("BEGIN"))
            else:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            try:
                yield connection
            finally:
                connection.rollback()

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on the writing thread in a transaction; return its result after the durable commit."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._write, work)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on a reading thread in a consistent snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def close(self) -> None:
        """Finish what was begun and close all connections."""
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self.engine.dispose()
        if self._lock_file is not None:
            os.close(self._lock_file)

    def _write(self, work: Callable[[Transaction], T]) -> T:
        with self.begin() as transaction:
            result = work(transaction)
        self.after_commit()
        return result

    def _read(self, work: Callable[[Transaction], T]) -> T:
        with self.snapshot() as transaction:
            return work(transaction)


def _nothing() -> None:
    """Stand in until an application listens."""


@contextmanager
def _committing(connection: Connection) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _create_engine(url: str) -> Engine:
    engine = create_engine(url, pool_size=_READER_THREADS + 2, max_overflow=2)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
    return engine


def _configure_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
    del record
    if not isinstance(connection, sqlite3.Connection):
        message = f"expected the standard library's SQLite driver, got {type(connection).__name__}"
        raise ConfigurationError(message)
    # The driver would open transactions by its own rules; ours begin where we say.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=10000",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
        f"journal_size_limit={_LOG_BYTES}",
        "cache_size=-32000",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _lock_sqlite_file(url: str) -> int | None:
    location = make_url(url)
    if location.get_backend_name() != "sqlite" or not location.database:
        return None
    path = Path(location.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(lock)
        message = f"{path} is in use by another faregate process; stop it first, or use another --data folder"
        raise ConfigurationError(message) from error
    return lock
