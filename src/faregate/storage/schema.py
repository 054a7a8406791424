"""Bring a database to the tables that this version knows."""

from __future__ import annotations

from typing import Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import text

from faregate.storage.database import Transaction
from faregate.storage.tables import metadata

_SCRIPTS: Final = "faregate.storage:migrations"
_LOCK: Final = 7_263_512_001
"""A number of ours for PostgreSQL's advisory lock: two processes that start together migrate one after the other."""


def migrate(transaction: Transaction) -> None:
    """Run the migrations that the database lacks, in this transaction: all or none, and none on a current one."""
    if transaction.dialect.name == "postgresql":
        transaction.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    scripts = ScriptDirectory.from_config(_config())

    def upgrade(revision: str, context: MigrationContext) -> list[RevisionStep]:
        del context
        return scripts._upgrade_revs("head", revision)  # noqa: SLF001 - what `alembic upgrade` calls; there is no public name

    with EnvironmentContext(_config(), scripts, fn=upgrade) as environment:
        environment.configure(connection=transaction, target_metadata=metadata, transactional_ddl=False)
        environment.run_migrations()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    return config
