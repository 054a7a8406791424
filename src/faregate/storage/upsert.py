"""Insert or update, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final, TypeVar

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from faregate.storage.database import Transaction

K = TypeVar("K")

_CHUNK_ROWS: Final = 1_000


def chunks(keys: Sequence[K]) -> Iterator[Sequence[K]]:
    """Yield keys in parts that fit a statement: SQLite takes 32,766 parameters in one."""
    for first in range(0, len(keys), _CHUNK_ROWS):
        yield keys[first : first + _CHUNK_ROWS]


def upsert(transaction: Transaction, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Write whole rows: a row whose primary key exists is replaced, column by column.

    All rows name the same columns.
    """
    if rows:
        transaction.execute(_statement(transaction.dialect.name, table, tuple(rows[0])), rows)


def insert_new(transaction: Transaction, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Write the rows whose primary key does not exist yet; all rows name the same columns."""
    if rows:
        statement = sqlite.insert(table) if transaction.dialect.name == "sqlite" else postgresql.insert(table)
        transaction.execute(statement.on_conflict_do_nothing(), rows)


@cache
def _statement(dialect: str, table: Table, columns: tuple[str, ...]) -> Insert:
    """Build the statement once: there are as many as tables that are written so."""
    statement = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    keys = {column.name for column in table.primary_key}
    changed = {name: statement.excluded[name] for name in columns if name not in keys}
    return statement.on_conflict_do_update(index_elements=sorted(keys), set_=changed)
