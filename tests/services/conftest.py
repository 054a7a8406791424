from collections.abc import Iterator

import pytest

from faregate.storage.database import Database
from tests.services.world import World, make_world


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def world(database: Database) -> Iterator[World]:
    """Whatever a test did to it, the audit must find every figure to be what the ledger makes it."""
    made = make_world(database)
    yield made
    if made.is_whole:
        assert made.audit() == []
