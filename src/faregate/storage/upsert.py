"""Insert or update, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from faregate.storage.database import Transaction


_CHUNK_ROWS: Final = 1_000


def chunks(keys: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    """Yield keys in parts that fit a statement: SQLite takes 32,766 parameters in one."""
    for first in range(0, len(keys), _CHUNK_ROWS):
        yield keys[first : first + _CHUNK_ROWS]


def upsert(transaction: Transaction, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Write whole rows: a row whose primary key exists is replaced, column by column.

    All rows name the same columns.
    """
    if not rows:
        return
    insert = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table)
    keys = {column.name for column in table.primary_key}
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    transaction.execute(statement.on_conflict_do_update(index_elements=sorted(keys), set_=changed), rows)
