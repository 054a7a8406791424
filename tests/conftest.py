"""What every test may ask for, and what none may do."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import settings

from faregate.apps.compiled import SWITCH, use_compiled
from faregate.storage.database import Database
from faregate.storage.tables import metadata
from tests.support import network_guard
from tests.support.postgres import PostgresError, PostgresServer, running_postgres

network_guard.install()

# Tests are of the sources, and so is what they cover; `FAREGATE_COMPILED=yes` tries what was compiled from them.
if os.environ.setdefault(SWITCH, "no") == "yes" and not use_compiled():
    pytest.exit("nothing is compiled from these sources: python scripts/compile.py", returncode=2)

# HYPOTHESIS_PROFILE=full looks a hundred times as hard. How long one example takes is no rule of ours.
settings.register_profile("ci", settings(settings.default, max_examples=100, deadline=None))
settings.register_profile("full", settings(settings.default, max_examples=10_000, deadline=None))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The session's own PostgreSQL, started when the first test asks for it. Missing, it fails the test."""
    try:
        with running_postgres() as server:
            yield server
    except PostgresError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def postgresql_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The SQLAlchemy URL of a new, empty PostgreSQL database, dropped after the test."""
    with postgres_server.database() as name:
        yield postgres_server.url(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The SQLAlchemy URL of a SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'faregate.sqlite3'}"


@pytest.fixture(scope="session")
def _postgres_tables(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a database with all tables: to copy it is five times as fast as to make them."""
    with postgres_server.database() as name:
        with closing(Database(postgres_server.url(name))) as database, database.begin() as transaction:
            metadata.create_all(transaction)
        yield name


@pytest.fixture
def _postgresql_with_tables_url(postgres_server: PostgresServer, _postgres_tables: str) -> Iterator[str]:
    with postgres_server.database(template=_postgres_tables) as name:
        yield postgres_server.url(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of a new database without rows, for `ensure_tables`: the test runs once on each kind."""
    kind = "sqlite_url" if request.param == "sqlite" else "_postgresql_with_tables_url"
    url: str = request.getfixturevalue(kind)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of a new, empty database: the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
