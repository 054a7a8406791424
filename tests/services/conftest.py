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
def world(database: Database) -> World:
    return make_world(database)
