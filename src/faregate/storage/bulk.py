"""Insert many rows at once, past SQLAlchemy's per-value conversion: an event's way to disk is the hot path."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from faregate.storage.database import Transaction

Row = tuple[int | str | bytes | None, ...]
"""Values as the driver keeps them: instants in microseconds, quantities as plain numerals, no booleans."""


def insert_rows(transaction: Transaction, table: Table, columns: Sequence[str], *, rows: Sequence[Row]) -> None:
    """Insert rows whose values stand in the order of `columns`."""
    if not rows:
        return
    quote = transaction.dialect.identifier_preparer.quote
    mark = "?" if transaction.dialect.paramstyle == "qmark" else "%s"
    names = ", ".join(quote(column) for column in columns)
    marks = ", ".join([mark] * len(columns))
    transaction.exec_driver_sql(f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})", list(rows))  # noqa: S608 - names of our own tables, no value
