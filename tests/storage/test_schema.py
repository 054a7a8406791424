from collections.abc import Iterator
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from faregate.storage.database import Database
from faregate.storage.schema import migrate
from faregate.storage.tables import metadata


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Database]:
    with closing(Database(empty_database_url)) as database:
        yield database


def test_the_revisions_end_at_exactly_the_tables_the_code_knows(empty: Database) -> None:
    with empty.begin() as transaction:
        migrate(transaction)
    with empty.snapshot() as transaction:
        context = MigrationContext.configure(transaction, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_on_sqlite_the_revisions_write_the_very_statements_of_the_tables(sqlite_url: str) -> None:
    # What a comparison through reflection cannot see: WITHOUT ROWID, AUTOINCREMENT, partial indexes.
    statements = text(
        "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
    )
    with closing(Database(sqlite_url)) as migrated, migrated.begin() as transaction:
        migrate(transaction)
        written = {name: _normal(sql) for name, sql in transaction.execute(statements)}
    with create_engine("sqlite://").begin() as memory:
        metadata.create_all(memory)
        expected = {name: _normal(sql) for name, sql in memory.execute(statements)}
    assert written == expected


def test_migrating_a_current_database_changes_nothing(empty: Database) -> None:
    for _ in range(2):
        with empty.begin() as transaction:
            migrate(transaction)
    with empty.snapshot() as transaction:
        assert transaction.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == ["0032"]


def test_a_failed_migration_leaves_nothing_behind(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alembic.op.create_index", _broken)
    with pytest.raises(RuntimeError, match="broken"), empty.begin() as transaction:
        migrate(transaction)
    monkeypatch.undo()
    with empty.begin() as transaction:
        migrate(transaction)


def _broken(*_: object, **__: object) -> None:
    raise RuntimeError("broken")


def _normal(sql: str) -> str:
    return " ".join(sql.split()).replace(", )", ")").replace("( ", "(").replace(" )", ")")
