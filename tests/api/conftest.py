from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.world import Api, opened_api


@pytest.fixture
def api(sqlite_url: str, tmp_path: Path) -> Iterator[Api]:
    """The API on SQLite."""
    with opened_api(sqlite_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def api_on_both(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """The API on each database."""
    with opened_api(database_url, tmp_path) as opened:
        yield opened
