from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faregate.providers.embedded.provider import EmbeddedProvider
from faregate.storage.database import Database
from tests.billing.desk import Desk
from tests.services.world import make_world


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[EmbeddedProvider]:
    opened = EmbeddedProvider(tmp_path / "sandbox.sqlite3")
    yield opened
    opened.close()


OpenDesk = Callable[[str], Desk]


@pytest.fixture
def open_desk(database: Database, provider: EmbeddedProvider) -> OpenDesk:
    return lambda pays: Desk(world=make_world(database, pays=pays), provider=provider)


@pytest.fixture
def postpaid(open_desk: OpenDesk) -> Desk:
    return open_desk("postpaid")


@pytest.fixture
def prepaid(open_desk: OpenDesk) -> Desk:
    return open_desk("prepaid")
