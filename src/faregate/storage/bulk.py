"""Insert many rows at once, past SQLAlchemy's per-value conversion: an event's way to disk is the hot path."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Table

from faregate.storage.database import Transaction

DriverRow = tuple[int | str | bytes | None, ...]
"""Values as the driver keeps them: instants in microseconds, quantities as plain numerals, no booleans."""


def insert_rows(
    transaction: Transaction,
    table: Table,
    columns: Sequence[str],
    *,
    rows: Sequence[DriverRow],
    or_nothing: bool = False,
) -> int:
    """Insert rows whose values stand in the order of `columns`; return how many.

    `or_nothing`: rows whose key exists are left as they are.
    """
    if not rows:
        return 0
    quote = transaction.dialect.identifier_preparer.quote
    mark = "?" if transaction.dialect.paramstyle == "qmark" else "%s"
    names = ", ".join(quote(column) for column in columns)
    marks = ", ".join([mark] * len(columns))
    statement = f"INSERT INTO {quote(table.name)} ({names}) VALUES ({marks})"  # noqa: S608 - names of our own tables, no value
    if or_nothing:
        statement += " ON CONFLICT DO NOTHING"
    return transaction.exec_driver_sql(statement, list(rows)).rowcount
