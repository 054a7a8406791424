from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.shop import Shop, opened_shop


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened_shop(Path(tmp_path_factory.mktemp("shop"))) as shop:
        yield shop
